package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// TLSReport is an SMTP TLS report (RFC 8460, section 4), as far as it counts.
type TLSReport struct {
	Organization string      `json:"organization-name"`
	Period       TLSPeriod   `json:"date-range"`
	Contact      string      `json:"contact-info,omitempty"`
	ID           string      `json:"report-id"`
	Policies     []TLSPolicy `json:"policies"`
}

// TLSPeriod is the time that a report covers.
type TLSPeriod struct {
	Begin time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// TLSPolicy is what was found about one policy of the domain.
type TLSPolicy struct {
	Policy   TLSPublished `json:"policy"`
	Summary  TLSSummary   `json:"summary"`
	Failures []TLSFailure `json:"failure-details,omitempty"`
}

// TLSPublished is a policy as the reporter saw it.
type TLSPublished struct {
	Type   string `json:"policy-type"` // sts, tlsa, no-policy-found
	Text   Texts  `json:"policy-string,omitempty"`
	Domain string `json:"policy-domain"`
	Hosts  Texts  `json:"mx-host,omitempty"`
}

// TLSSummary counts sessions.
type TLSSummary struct {
	Successes int64 `json:"total-successful-session-count"`
	Failures  int64 `json:"total-failure-session-count"`
}

// TLSFailure is one kind of failure.
type TLSFailure struct {
	Type      string `json:"result-type"` // RFC 8460, section 4.3
	Sending   string `json:"sending-mta-ip,omitempty"`
	Host      string `json:"receiving-mx-hostname,omitempty"`
	HELO      string `json:"receiving-mx-helo,omitempty"`
	Receiving string `json:"receiving-ip,omitempty"`
	Sessions  int64  `json:"failed-session-count"`
	Info      string `json:"additional-information,omitempty"`
	Reason    string `json:"failure-reason-code,omitempty"`
}

// Texts is a list of texts, which some reporters write as one text.
type Texts []string

// UnmarshalJSON reads a list or a single text.
func (t *Texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = Texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// Bounds of the JSON that is read.
const (
	maxMarks    = 50_000 // commas and opening brackets: more than the values that it has
	maxPolicies = 20
	maxFailures = 500 // kept of a report
	maxLines    = 20  // of a policy's text, and hosts
)

// ParseTLS reads the JSON of a TLS report. The error wraps ErrReport.
func ParseTLS(text []byte) (*TLSReport, error) {
	marks := bytes.Count(text, []byte(",")) + bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{"))
	if marks > maxMarks {
		return nil, bad("it has more than %d values", maxMarks)
	}
	var r TLSReport
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, bad("%v", err)
	}
	switch {
	case r.ID == "" || len(r.ID) > maxText:
		return nil, bad("it has no id, or one that is too long")
	case len(r.Policies) == 0 || len(r.Policies) > maxPolicies:
		return nil, bad("it has %d policies", len(r.Policies))
	}
	r.Organization, r.Contact = short(r.Organization), short(r.Contact)
	r.Period.Begin, r.Period.End = r.Period.Begin.UTC(), r.Period.End.UTC()
	room := maxFailures
	for i := range r.Policies {
		if err := r.Policies[i].tidy(&room); err != nil {
			return nil, err
		}
		if r.Policies[i].Policy.Domain != r.Policies[0].Policy.Domain {
			return nil, bad("it is about several domains")
		}
	}
	return &r, period(r.Period.Begin, r.Period.End)
}

// tidy checks a policy's counts and bounds its texts.
func (p *TLSPolicy) tidy(room *int) error {
	if p.Policy.Domain = domain(p.Policy.Domain); p.Policy.Domain == "" {
		return bad("it names no domain")
	}
	p.Policy.Type = word(p.Policy.Type, tlsPolicies)
	p.Policy.Text, p.Policy.Hosts = tidyTexts(p.Policy.Text), tidyTexts(p.Policy.Hosts)
	if !sound(p.Summary.Successes) || !sound(p.Summary.Failures) {
		return bad("it counts %d and %d sessions", p.Summary.Successes, p.Summary.Failures)
	}
	if len(p.Failures) > *room {
		p.Failures = p.Failures[:*room]
	}
	*room -= len(p.Failures)
	for i := range p.Failures {
		f := &p.Failures[i]
		if !sound(f.Sessions) {
			return bad("it counts %d sessions", f.Sessions)
		}
		f.Type, f.Sending, f.Receiving = result(f.Type), address(f.Sending), address(f.Receiving)
		f.Host, f.HELO, f.Info, f.Reason = short(f.Host), short(f.HELO), short(f.Info), short(f.Reason)
	}
	return nil
}

func sound(n int64) bool { return n >= 0 && n <= maxCount }

func tidyTexts(t Texts) Texts {
	t = t[:min(len(t), maxLines)]
	for i := range t {
		t[i] = short(t[i])
	}
	return t
}

func address(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return ip.Unmap().WithZone("").String()
}

// result is a result type: a word, which others may add to.
func result(text string) string {
	text = strings.ToLower(text)
	if text == "" || len(text) > 64 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return "other"
	}
	return text
}

var tlsPolicies = []string{"sts", "tlsa", "no-policy-found"}
