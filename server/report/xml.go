package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern/dns"
)

// ErrReport is wrapped by every error about what a report says.
var ErrReport = errors.New("report: not a report that can be read")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrReport, fmt.Sprintf(format, args...))
}

// Bounds of the XML that is read.
const (
	maxDepth    = 12
	maxElements = 1_000_000
	maxToken    = 64 << 10 // bytes of one tag or text
)

// ParseAggregate reads the XML of an aggregate report (RFC 7489, appendix C, and
// the namespaced form that follows it). Elements that are unknown are passed over,
// as reporters write more than the schema has, and less. The error wraps ErrReport.
func ParseAggregate(text []byte) (*Aggregate, error) {
	r := &reading{in: metered{b: text}, report: Aggregate{Published: Published{Percent: 100}}}
	d := xml.NewDecoder(&r.in)
	d.CharsetReader = charset
	for elements := 0; ; {
		r.in.budget = maxToken
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return r.end()
		}
		if err != nil {
			return nil, bad("%v", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if elements++; elements > maxElements {
				return nil, bad("more than %d elements", maxElements)
			}
			err = r.open(t.Name.Local)
		case xml.EndElement:
			err = r.close(t.Name.Local)
		case xml.CharData:
			r.text = append(r.text, t[:min(len(t), maxText+1-min(len(r.text), maxText+1))]...)
		case xml.Directive:
			err = bad("it has a document type") // and with it could have entities
		}
		if err != nil {
			return nil, err
		}
	}
}

// metered gives the decoder no more than a budget for one token: neither a tag
// with a million attributes nor a text without end is held in memory.
type metered struct {
	b      []byte
	budget int
}

func (m *metered) ReadByte() (byte, error) {
	if len(m.b) == 0 {
		return 0, io.EOF
	}
	if m.budget--; m.budget < 0 {
		return 0, errors.New("a tag or text is too long")
	}
	c := m.b[0]
	m.b = m.b[1:]
	return c, nil
}

func (m *metered) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := m.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// charset reads what is written in one byte a character, as if it were Latin-1:
// what matters in a report is ASCII.
func charset(name string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252", "iso-8859-15":
		return &latin{in: in.(io.ByteReader)}, nil
	}
	return nil, bad("it is written in %q", name[:min(len(name), 40)])
}

type latin struct {
	in   io.ByteReader
	rest byte // second byte of a character
}

func (l *latin) ReadByte() (byte, error) {
	if c := l.rest; c != 0 {
		l.rest = 0
		return c, nil
	}
	c, err := l.in.ReadByte()
	if err != nil || c < utf8.RuneSelf {
		return c, err
	}
	two := utf8.AppendRune(nil, rune(c))
	l.rest = two[1]
	return two[0], nil
}

func (l *latin) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := l.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// reading is an aggregate report under way.
type reading struct {
	in     metered
	path   []string
	text   []byte // of the element that is open
	rooted bool

	report    Aggregate
	row       Row
	signature Signature
	sender    Result
}

func (r *reading) open(name string) error {
	if len(r.path) >= maxDepth {
		return bad("its elements are nested too deep")
	}
	if len(r.path) == 0 {
		if r.rooted || name != "feedback" {
			return bad("its root is not feedback")
		}
		r.rooted = true
	}
	r.path, r.text = append(r.path, name), r.text[:0]
	switch strings.Join(r.path, "/") {
	case "feedback/record":
		r.row = Row{}
	case "feedback/record/auth_results/dkim":
		r.signature = Signature{}
	case "feedback/record/auth_results/spf":
		r.sender = Result{}
	}
	return nil
}

func (r *reading) close(name string) error {
	if len(r.path) == 0 || r.path[len(r.path)-1] != name {
		return bad("its elements do not close in order")
	}
	path := strings.Join(r.path, "/")
	r.path = r.path[:len(r.path)-1]
	text := strings.TrimSpace(strings.ToValidUTF8(string(r.text), "?"))
	r.text = r.text[:0]
	switch {
	case path == "feedback/record":
		return r.finishRow()
	case strings.HasPrefix(path, "feedback/record/"):
		return r.inRecord(strings.TrimPrefix(path, "feedback/record/"), text)
	}
	return r.outside(strings.TrimPrefix(path, "feedback/"), text)
}

// outside takes an element that is not of a record.
func (r *reading) outside(path, text string) (err error) {
	p := &r.report.Published
	switch path {
	case "report_metadata/org_name":
		r.report.Organization = short(text)
	case "report_metadata/email":
		r.report.Contact = short(text)
	case "report_metadata/report_id":
		if len(text) > maxText {
			return bad("its id is too long")
		}
		r.report.ID = text
	case "report_metadata/date_range/begin":
		r.report.Begin, err = seconds(text)
	case "report_metadata/date_range/end":
		r.report.End, err = seconds(text)
	case "policy_published/domain":
		if p.Domain, err = dns.Name(strings.ToLower(text)); err != nil {
			return bad("its domain is no domain")
		}
	case "policy_published/p":
		p.Policy = word(text, dispositions)
	case "policy_published/sp":
		p.Subdomains = word(text, dispositions)
	case "policy_published/np":
		p.Absent = word(text, dispositions)
	case "policy_published/adkim":
		p.DKIM = word(text, alignments)
	case "policy_published/aspf":
		p.SPF = word(text, alignments)
	case "policy_published/pct":
		if n, err := strconv.Atoi(text); err == nil && n >= 0 && n <= 100 {
			p.Percent = n
		}
	}
	return err
}

var (
	dispositions = []string{"none", "quarantine", "reject"}
	alignments   = []string{"r", "s"}
	overrides    = []string{"forwarded", "sampled_out", "trusted_forwarder", "mailing_list", "local_policy", "other"}
	results      = []string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror", "softfail"}
	scopes       = []string{"helo", "mfrom"}
)

// word is a text that is one of a vocabulary, in lower case; empty otherwise.
func word(text string, vocabulary []string) string {
	text = strings.ToLower(text)
	for _, w := range vocabulary {
		if w == text {
			return w
		}
	}
	return ""
}

// short bounds a text of a stranger.
func short(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}

// domain is a name in the form of dns.Name; empty when it is none.
func domain(text string) string {
	name, err := dns.Name(strings.ToLower(text))
	if err != nil {
		return ""
	}
	return name
}

func seconds(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<36 {
		return time.Time{}, bad("its period is no period")
	}
	return time.Unix(n, 0).UTC(), nil
}

// inRecord takes an element of a record.
func (r *reading) inRecord(path, text string) error {
	row := &r.row
	switch path {
	case "row/source_ip":
		if ip, err := netip.ParseAddr(text); err == nil {
			row.Source = ip.Unmap().WithZone("")
		}
	case "row/count":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > maxCount {
			return bad("a record counts %q messages", short(text))
		}
		row.Count = n
	case "row/policy_evaluated/disposition":
		row.Disposition = word(text, dispositions)
	case "row/policy_evaluated/dkim":
		row.DKIM = strings.EqualFold(text, "pass")
	case "row/policy_evaluated/spf":
		row.SPF = strings.EqualFold(text, "pass")
	case "row/policy_evaluated/reason/type":
		if row.Override == "" {
			row.Override = word(text, overrides)
		}
	case "identifiers/header_from":
		row.From = domain(text)
	case "identifiers/envelope_from":
		row.Envelope = domain(text)
	default:
		r.inResults(path, text)
	}
	return nil
}

// inResults takes an element of what SPF and DKIM found by themselves.
func (r *reading) inResults(path, text string) {
	switch path {
	case "auth_results/dkim/domain":
		r.signature.Domain = domain(text)
	case "auth_results/dkim/selector":
		r.signature.Selector = short(text)
	case "auth_results/dkim/result":
		r.signature.Result = word(text, results)
	case "auth_results/dkim":
		if len(r.row.Signatures) < maxSignatures {
			r.row.Signatures = append(r.row.Signatures, r.signature)
		}
	case "auth_results/spf/domain":
		r.sender.Domain = domain(text)
	case "auth_results/spf/scope":
		r.sender.Scope = word(text, scopes)
	case "auth_results/spf/result":
		r.sender.Result = word(text, results)
	case "auth_results/spf":
		if r.row.Sender == (Result{}) {
			r.row.Sender = r.sender
		}
	}
}

func (r *reading) finishRow() error {
	if len(r.report.Rows) < maxRows {
		r.report.Rows = append(r.report.Rows, r.row)
		return nil
	}
	if r.report.More += r.row.Count; r.report.More > maxCount {
		return bad("it counts too many messages")
	}
	return nil
}

// end says whether what was read is a report.
func (r *reading) end() (*Aggregate, error) {
	a := &r.report
	switch {
	case !r.rooted || len(r.path) > 0:
		return nil, bad("it ends too early")
	case a.Published.Domain == "":
		return nil, bad("it names no domain")
	case a.ID == "":
		return nil, bad("it has no id")
	}
	return a, period(a.Begin, a.End)
}

// period checks the time that a report covers. Reporters differ about whether the
// last second is in it.
func period(begin, end time.Time) error {
	if begin.IsZero() || end.Before(begin) || end.Sub(begin) > 32*24*time.Hour {
		return bad("its period is no period")
	}
	return nil
}
