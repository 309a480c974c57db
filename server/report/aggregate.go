package report

import (
	"net/netip"
	"time"
)

// Aggregate is a DMARC aggregate report, as far as it counts. Texts are those of
// the reporter.
type Aggregate struct {
	Organization string    `json:"organization"`
	Contact      string    `json:"contact,omitempty"`
	ID           string    `json:"report_id"`
	Begin        time.Time `json:"begin"`
	End          time.Time `json:"end"`
	Published    Published `json:"published"`
	Rows         []Row     `json:"rows,omitempty"`
	// More is how many messages the report has beyond its first maxRows rows.
	More int64 `json:"more,omitempty"`
}

// Published is the policy by which messages were judged (RFC 7489, section 6.3).
type Published struct {
	Domain     string   `json:"domain"` // where the record was, in the form of dns.Name
	Policy     string   `json:"p"`      // none, quarantine, reject
	Subdomains string   `json:"sp,omitempty"`
	Absent     string   `json:"np,omitempty"`
	DKIM       string   `json:"adkim,omitempty"` // r or s
	SPF        string   `json:"aspf,omitempty"`
	Percent    int      `json:"pct"`
	Reports    []string `json:"rua,omitempty"` // who is to be told; of our own reports alone
}

// Row is what messages of one kind have in common.
type Row struct {
	Source      netip.Addr  `json:"source,omitzero"`       // who sent them; zero when the reporter does not say
	Count       int64       `json:"count,omitempty"`       // messages
	Disposition string      `json:"disposition,omitempty"` // what became of them: none, quarantine, reject
	DKIM        bool        `json:"dkim,omitempty"`        // passed for an aligned domain
	SPF         bool        `json:"spf,omitempty"`         // passed for an aligned domain
	Override    string      `json:"override,omitempty"`    // why the disposition is another than asked for
	From        string      `json:"from,omitempty"`        // domain in From
	Envelope    string      `json:"envelope,omitempty"`    // domain of the return path
	Signatures  []Signature `json:"signatures,omitempty"`  // at most maxSignatures
	Sender      Result      `json:"sender,omitzero"`       // what SPF found
}

// Passed says whether the messages passed DMARC.
func (r *Row) Passed() bool { return r.DKIM || r.SPF }

// Signature is the result for one signature.
type Signature struct {
	Domain   string `json:"domain,omitempty"`
	Selector string `json:"selector,omitempty"`
	Result   string `json:"result"`
}

// Result is the result of SPF.
type Result struct {
	Domain string `json:"domain,omitempty"`
	Scope  string `json:"scope,omitempty"` // helo or mfrom
	Result string `json:"result,omitempty"`
}

// Bounds of what is kept of a report.
const (
	maxRows       = 500
	maxSignatures = 5
	maxText       = 255  // bytes of a text
	maxCount      = 1e12 // messages of a row
)
