package zone

import "strings"

// Provider is who keeps a zone for a person, and what their form wants otherwise
// than others.
type Provider struct {
	Name string
	Hint string // a sentence; may be empty
}

// providers by the ends of the names of their servers. The list is closed, and made
// of names that providers document themselves.
var providers = []struct {
	suffix string
	Provider
}{
	{"ns.cloudflare.com", Provider{"Cloudflare", "Set every record of this list to \"DNS only\" (grey cloud): the proxy carries no mail."}},
	{"awsdns", Provider{"Amazon Route 53", "TXT values are typed with their quotes, long ones as several quoted strings of at most 255 characters in one line."}},
	{"azure-dns", Provider{"Azure DNS", "Names are typed without the zone, \"@\" for the zone itself."}},
	{"googledomains.com", Provider{"Google Cloud DNS", "TXT values are typed with their quotes, long ones as several quoted strings of at most 255 characters."}},
	{"domaincontrol.com", Provider{"GoDaddy", "Names are typed without the zone; long TXT values in one piece, without quotes."}},
	{"registrar-servers.com", Provider{"Namecheap", "MX records need Mail Settings: Custom MX. Names are typed without the zone."}},
	{"gandi.net", Provider{"Gandi", "Targets end with a dot, or the zone is put behind them."}},
	{"ovh.net", Provider{"OVHcloud", "Targets end with a dot, or the zone is put behind them."}},
	{"ovh.ca", Provider{"OVHcloud", "Targets end with a dot, or the zone is put behind them."}},
	{"anycast.me", Provider{"OVHcloud", "Targets end with a dot, or the zone is put behind them."}},
	{"hetzner.com", Provider{"Hetzner", "Targets end with a dot, or the zone is put behind them; long TXT values as several quoted strings."}},
	{"hetzner.de", Provider{"Hetzner", "Targets end with a dot, or the zone is put behind them; long TXT values as several quoted strings."}},
	{"digitalocean.com", Provider{"DigitalOcean", "Targets end with a dot, or the zone is put behind them."}},
	{"linode.com", Provider{"Linode", "Names are typed without the zone."}},
	{"vultr.com", Provider{"Vultr", "TXT values are typed with their quotes."}},
	{"dnsimple.com", Provider{"DNSimple", ""}},
	{"dnsimple-edge", Provider{"DNSimple", ""}},
	{"porkbun.com", Provider{"Porkbun", "Names are typed without the zone, and left empty for the zone itself."}},
	{"ui-dns", Provider{"IONOS", "Names are typed without the zone, \"@\" for the zone itself."}},
	{"name.com", Provider{"Name.com", "Names are typed without the zone, and left empty for the zone itself."}},
	{"hover.com", Provider{"Hover", "Names are typed without the zone, \"@\" for the zone itself."}},
	{"nsone.net", Provider{"NS1", ""}},
	{"desec.io", Provider{"deSEC", "The zone is signed: DANE works. TXT values are typed with their quotes."}},
	{"desec.org", Provider{"deSEC", "The zone is signed: DANE works. TXT values are typed with their quotes."}},
	{"inwx.de", Provider{"INWX", ""}},
	{"infomaniak.com", Provider{"Infomaniak", ""}},
	{"infomaniak.ch", Provider{"Infomaniak", ""}},
	{"dns-parking.com", Provider{"Hostinger", "Names are typed without the zone, \"@\" for the zone itself."}},
	{"wixdns.net", Provider{"Wix", "Names are typed without the zone."}},
	{"vercel-dns.com", Provider{"Vercel", "Names are typed without the zone, and left empty for the zone itself."}},
	{"squarespacedns.com", Provider{"Squarespace", "Names are typed without the zone, \"@\" for the zone itself."}},
	{"dreamhost.com", Provider{"DreamHost", ""}},
	{"bunny.net", Provider{"bunny.net", ""}},
	{"he.net", Provider{"Hurricane Electric", "Names are typed whole."}},
	{"joker.com", Provider{"Joker", ""}},
	{"strato.de", Provider{"STRATO", "Each kind of record has a page of its own; free TXT records are under \"TXT and CNAME records\"."}},
	{"rzone.de", Provider{"STRATO", "Each kind of record has a page of its own; free TXT records are under \"TXT and CNAME records\"."}},
}

// ProviderOf tells who keeps a zone from the names of its servers; the zero
// Provider when they say nothing.
func ProviderOf(servers []string) Provider {
	for _, server := range servers {
		for _, p := range providers {
			if matchesProvider(server, p.suffix) {
				return p.Provider
			}
		}
	}
	return Provider{}
}

// matchesProvider compares the end of a name with a suffix of whole labels; a
// suffix without a dot is the beginning of the last labels but the top ones, as in
// ns-1.awsdns-00.co.uk.
func matchesProvider(server, suffix string) bool {
	if strings.Contains(suffix, ".") {
		return Within(server, suffix)
	}
	for _, label := range strings.Split(server, ".")[1:] {
		if strings.HasPrefix(label, suffix) {
			return true
		}
	}
	return false
}
