package rendition

import (
	"net/url"
	"strings"
)

// maxLink is how many bytes of a link are spelled out.
const maxLink = 200

// linkTarget is where a link leads, as a person reads it: scheme, host and path of the web, or
// an address. Query and fragment are for machines and can hold any text; "?..." says that
// something was left out. It is empty for a link that leads nowhere a person would go.
func linkTarget(href string) string {
	href = strings.TrimSpace(href)
	if len(href) > 8<<10 {
		return ""
	}
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
	case "mailto":
		address, _, _ := strings.Cut(u.Opaque, "?")
		if strings.Count(address, "@") != 1 || !linkText(address) || len(address) > maxLink {
			return ""
		}
		return "mailto:" + address
	case "tel":
		if strings.Trim(u.Opaque, "+0123456789-.()") != "" || len(u.Opaque) > 30 {
			return ""
		}
		return "tel:" + u.Opaque
	default:
		return ""
	}
	host := strings.ToLower(u.Host)
	if host == "" || !linkText(host) || len(host) > maxLink {
		return ""
	}
	to := strings.ToLower(u.Scheme) + "://" + host
	path := u.EscapedPath()
	if !linkText(path) || len(path) > maxLink {
		return to + "/..."
	}
	to += path
	if u.RawQuery != "" || u.Fragment != "" {
		to += "?..."
	}
	return to
}

// linkText reports whether a part of a link is ASCII without spaces, brackets and quotes.
func linkText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"()'`{}|\\^[]", r) }) < 0
}
