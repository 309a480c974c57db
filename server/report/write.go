package report

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"crypto/rand"

	"postern/server/message"
	"postern/storage"
)

// The elements of an aggregate report in the order of RFC 7489, appendix C.
type (
	xmlFeedback struct {
		XMLName   xml.Name     `xml:"feedback"`
		Version   string       `xml:"version"`
		Metadata  xmlMetadata  `xml:"report_metadata"`
		Published xmlPublished `xml:"policy_published"`
		Records   []xmlRecord  `xml:"record"`
	}
	xmlMetadata struct {
		Organization string `xml:"org_name"`
		Contact      string `xml:"email"`
		ID           string `xml:"report_id"`
		Begin        int64  `xml:"date_range>begin"`
		End          int64  `xml:"date_range>end"`
	}
	xmlPublished struct {
		Domain     string `xml:"domain"`
		DKIM       string `xml:"adkim,omitempty"`
		SPF        string `xml:"aspf,omitempty"`
		Policy     string `xml:"p"`
		Subdomains string `xml:"sp,omitempty"`
		Percent    int    `xml:"pct"`
	}
	xmlRecord struct {
		Source      string     `xml:"row>source_ip"`
		Count       int64      `xml:"row>count"`
		Disposition string     `xml:"row>policy_evaluated>disposition"`
		DKIM        string     `xml:"row>policy_evaluated>dkim"`
		SPF         string     `xml:"row>policy_evaluated>spf"`
		Reason      *xmlReason `xml:"row>policy_evaluated>reason"`
		From        string     `xml:"identifiers>header_from"`
		Envelope    string     `xml:"identifiers>envelope_from"`
		Signatures  []xmlDKIM  `xml:"auth_results>dkim"`
		Sender      *xmlSPF    `xml:"auth_results>spf"`
	}
	xmlReason struct {
		Type string `xml:"type"`
	}
	xmlDKIM struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector,omitempty"`
		Result   string `xml:"result"`
	}
	xmlSPF struct {
		Domain string `xml:"domain"`
		Scope  string `xml:"scope,omitempty"`
		Result string `xml:"result"`
	}
)

// XML writes the report (RFC 7489, appendix C).
func (a *Aggregate) XML() ([]byte, error) {
	p := a.Published
	f := xmlFeedback{Version: "1.0",
		Metadata:  xmlMetadata{a.Organization, a.Contact, a.ID, a.Begin.Unix(), a.End.Unix()},
		Published: xmlPublished{Domain: p.Domain, DKIM: p.DKIM, SPF: p.SPF, Policy: p.Policy, Subdomains: p.Subdomains, Percent: p.Percent}}
	for i := range a.Rows {
		f.Records = append(f.Records, a.Rows[i].xml())
	}
	b, err := xml.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(append([]byte(xml.Header), b...), '\n'), nil
}

func (r *Row) xml() xmlRecord {
	passed := map[bool]string{true: "pass", false: "fail"}
	x := xmlRecord{Source: r.Source.String(), Count: r.Count, Disposition: r.Disposition, DKIM: passed[r.DKIM], SPF: passed[r.SPF],
		From: r.From, Envelope: r.Envelope}
	if r.Override != "" {
		x.Reason = &xmlReason{r.Override}
	}
	for _, s := range r.Signatures {
		x.Signatures = append(x.Signatures, xmlDKIM(s))
	}
	if r.Sender != (Result{}) {
		x.Sender = &xmlSPF{r.Sender.Domain, r.Sender.Scope, r.Sender.Result}
	}
	return x
}

// JSON writes the report (RFC 8460, section 4.4).
func (t *TLSReport) JSON() ([]byte, error) { return json.Marshal(t) }

// pack compresses a report, as both standards ask.
func pack(text []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // memory takes everything
	}
	return b.Bytes()
}

// envelope is a report ready to be put into letters.
type envelope struct {
	kind       storage.ReportKind
	about      string // domain that the report is for
	from       message.Path
	id         string // of the report: a token
	begin, end time.Time
	packed     []byte
	content    any // Aggregate or TLSReport: what is packed
	time       time.Time
}

// forms are what the two kinds of mail differ in.
var forms = map[storage.ReportKind]struct{ mediaType, container, extension, sentence string }{
	storage.ReportDMARC: {"application/gzip", "multipart/mixed", "xml.gz",
		"This is a DMARC aggregate report (RFC 7489): how mail in the name of %s fared at %s."},
	storage.ReportTLS: {"application/tlsrpt+gzip", `multipart/report; report-type="tlsrpt"`, "json.gz",
		"This is an SMTP TLS report (RFC 8460): how TLS to %s went from %s."},
}

// filename is that of RFC 7489, section 7.2.1.1, which RFC 8460, section 5.1,
// shares.
func (e *envelope) filename() string {
	return fmt.Sprintf("%s!%s!%d!%d!%s.%s", e.from.Domain, e.about, e.begin.Unix(), e.end.Unix(), e.id, forms[e.kind].extension)
}

// letter writes the message to one of those who are told.
func (e *envelope) letter(to message.Path, messageID string) []byte {
	form, boundary := forms[e.kind], rand.Text()
	header := [][2]string{
		{"From", "Postern <" + e.from.String() + ">"}, {"To", "<" + to.String() + ">"},
		{"Subject", "Report Domain: " + e.about + " Submitter: " + e.from.Domain + " Report-ID: <" + e.id + "@" + e.from.Domain + ">"},
		{"Date", string(message.AppendDate(nil, e.time))}, {"Message-ID", messageID},
		{"Auto-Submitted", message.AutoGenerated}, {"MIME-Version", "1.0"},
		{"Content-Type", form.container + `; boundary="` + boundary + `"`},
	}
	if e.kind == storage.ReportTLS { // RFC 8460, section 5.3
		header = append(header, [2]string{"TLS-Report-Domain", e.about}, [2]string{"TLS-Report-Submitter", e.from.Domain})
	}
	var b []byte
	for _, f := range header {
		b = message.AppendField(b, f[0], f[1])
	}
	text := fmt.Sprintf(form.sentence, e.about, e.from.Domain)
	b = fmt.Appendf(b, "\r\n--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n%s\r\nFrom %s to %s (UTC).\r\n", boundary, text,
		e.begin.Format(time.DateTime), e.end.Format(time.DateTime))
	b = fmt.Appendf(b, "\r\n--%s\r\nContent-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"%s\"\r\n\r\n",
		boundary, form.mediaType, e.filename(), e.filename())
	b = append(b, lines(base64.StdEncoding.EncodeToString(e.packed))...)
	return fmt.Appendf(b, "--%s--\r\n", boundary)
}

// lines cuts base64 into lines (RFC 2045, section 6.8).
func lines(s string) string {
	const width = 76
	var b strings.Builder
	for len(s) > 0 {
		n := min(width, len(s))
		b.WriteString(s[:n])
		b.WriteString("\r\n")
		s = s[n:]
	}
	return b.String()
}
