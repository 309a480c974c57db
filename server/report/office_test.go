package report_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/report"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// world is an office over a store and names of its own. Letters are kept here.
type world struct {
	t      testing.TB
	store  *storage.Store
	names  *nameserver.Server
	office *report.Office
	org    uuid.UUID

	mu      sync.Mutex
	now     time.Time
	letters []report.Letter
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Microsecond)
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newWorld(t testing.TB, records ...nameserver.Record) *world {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), names: nameserver.New()}
	w.store, err = storage.Open(t.Context(), storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: w.clock})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.must(w.names.SetZone(nameserver.Zone{Origin: ".", Nameservers: []string{"ns.test"}, Records: records}))
	w.must(w.names.Start("127.0.0.1:0"))
	t.Cleanup(func() { w.names.Stop(context.Background()) })
	resolver, err := dns.NewClient(dns.Config{Servers: []string{w.names.Addr().String()}, Timeout: time.Second})
	w.must(err)
	w.office = report.New(w.store, report.Options{Auth: &msgauth.Checker{Resolver: resolver, Now: w.clock}, Resolver: resolver, Post: w.post, Now: w.clock})
	w.org = w.organization("one", "ours.test", true)
	return w
}

// organization makes one with a domain and an inbox.
func (w *world) organization(name, domain string, owned bool) uuid.UUID {
	w.t.Helper()
	org := storage.Organization{Name: name}
	w.must(w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		return tx.CreateOrganization(tx.Record(audit.Event{Verb: audit.OrganizationCreate}), &org)
	}))
	id, err := w.store.NewInboxKey(context.Background(), org.ID)
	w.must(err)
	w.must(w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		d := storage.Domain{Head: storage.Head{Org: org.ID}, Name: domain, Owned: owned}
		if err := tx.CreateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &d); err != nil {
			return err
		}
		in := storage.InboxRecord{Head: storage.Head{ID: id, Org: org.ID}, Domain: d.ID, Address: "a@" + domain, Env: storage.Live}
		return tx.CreateInbox(tx.Record(audit.Event{Verb: audit.InboxCreate}), &in)
	}))
	return org.ID
}

func (w *world) post(_ context.Context, l report.Letter) (report.Prepared, error) {
	return report.Prepared{Discard: func() {}, Store: func(*storage.Tx) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.letters = append(w.letters, l)
		return nil
	}}, nil
}

// to are the addresses of the letters so far, which are forgotten.
func (w *world) to() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.letters {
		all = append(all, l.To.String())
	}
	w.letters = nil
	return all
}

// fared counts a message that failed DMARC and was refused.
func (w *world) fared(org uuid.UUID, domain, remote string, reports ...string) {
	w.t.Helper()
	results := msgauth.Results{
		SPF:  msgauth.SPF{Value: msgauth.SoftFail, Domain: "evil.example"},
		DKIM: []msgauth.DKIM{{Value: msgauth.Fail, Domain: domain, Selector: "s1"}},
		DMARC: msgauth.DMARC{Value: msgauth.Fail, Domain: "news." + domain, Policy: msgauth.PolicyReject,
			Published: &msgauth.Published{Domain: domain, Policy: msgauth.PolicyReject, Subdomains: msgauth.PolicyReject, Absent: msgauth.PolicyReject, Percent: 100, Reports: reports}},
	}
	w.must(w.store.Upkeep(w.t.Context(), func(u *storage.Upkeep) error {
		return report.CountMail(u, org, report.Evaluation{Results: results, Remote: netip.MustParseAddr(remote), Envelope: "evil.example", Disposition: "reject"})
	}))
}

func (w *world) went(sessions ...report.Session) {
	w.t.Helper()
	w.must(w.store.Upkeep(w.t.Context(), func(u *storage.Upkeep) error { return report.CountTLS(u, w.org, sessions) }))
}

// unpacked reads a letter with what others have for that: net/mail, mime, gzip.
func unpacked(t *testing.T, l report.Letter) (header mail.Header, part *multipart.Part, content []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.Data))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if _, err := parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	if part, err = parts.NextPart(); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
	if err != nil {
		t.Fatal(err)
	}
	if content, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return m.Header, part, content
}

// TestRFC7489_AggregateReport: the report of a day, as another program reads it.
func TestRFC7489_AggregateReport(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.fared(w.org, "asks.test", "203.0.113.9", "mailto:dmarc@asks.test!1m")
	}
	w.fared(w.org, "asks.test", "2001:db8::9", "mailto:dmarc@asks.test!1m")
	w.must(w.office.Send(t.Context()))
	if len(w.letters) != 0 {
		t.Fatal("a report goes out before the day is over")
	}
	w.advance(12 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if len(w.letters) != 1 {
		t.Fatalf("%d letters", len(w.letters))
	}
	header, part, content := unpacked(t, w.letters[0])
	var x struct {
		XMLName  xml.Name `xml:"feedback"`
		Metadata struct {
			Organization string `xml:"org_name"`
			Email        string `xml:"email"`
			ID           string `xml:"report_id"`
			Range        struct {
				Begin int64 `xml:"begin"`
				End   int64 `xml:"end"`
			} `xml:"date_range"`
		} `xml:"report_metadata"`
		Domain  string `xml:"policy_published>domain"`
		Policy  string `xml:"policy_published>p"`
		Records []struct {
			IP          string `xml:"row>source_ip"`
			Count       int    `xml:"row>count"`
			Disposition string `xml:"row>policy_evaluated>disposition"`
			DKIM        string `xml:"row>policy_evaluated>dkim"`
			From        string `xml:"identifiers>header_from"`
			Envelope    string `xml:"identifiers>envelope_from"`
			Signer      string `xml:"auth_results>dkim>domain"`
			SPF         string `xml:"auth_results>spf>result"`
		} `xml:"record"`
	}
	w.must(xml.Unmarshal(content, &x))
	counts := map[string]int{}
	for _, r := range x.Records {
		counts[r.IP] = r.Count
		if r.Disposition != "reject" || r.DKIM != "fail" || r.From != "news.asks.test" || r.Envelope != "evil.example" || r.Signer != "asks.test" || r.SPF != "softfail" {
			t.Errorf("record %+v", r)
		}
	}
	if len(counts) != 2 || counts["203.0.113.9"] != 3 || counts["2001:db8::9"] != 1 || x.Domain != "asks.test" || x.Policy != "reject" ||
		x.Metadata.Organization != "ours.test" || x.Metadata.Range.Begin != 1772323200 || x.Metadata.Range.End != 1772409599 {
		t.Errorf("%s", content)
	}
	name := "ours.test!asks.test!1772323200!1772409599!" + x.Metadata.ID + ".xml.gz"
	subject := "Report Domain: asks.test Submitter: ours.test Report-ID: <" + x.Metadata.ID + "@ours.test>"
	if part.FileName() != name || part.Header.Get("Content-Type") != `application/gzip; name="`+name+`"` || header.Get("Subject") != subject ||
		header.Get("From") != "Postern <postern-reports@ours.test>" || header.Get("To") != "<dmarc@asks.test>" || header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("%v %v", header, part.Header)
	}
	w.letters = nil
	w.advance(24 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if len(w.letters) != 0 {
		t.Error("it goes out twice")
	}
	if e, _ := w.store.Events(t.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.ReportSent}}); len(e) != 1 {
		t.Errorf("%d events of it", len(e))
	}
}

// TestRFC8460_TLSReport: the same of TLS.
func TestRFC8460_TLSReport(t *testing.T) {
	w := newWorld(t, nameserver.Record{Name: "_smtp._tls.peer.test", Type: nameserver.TXT, Data: "v=TLSRPTv1; rua=mailto:tls@peer.test,https://peer.test/tls"},
		nameserver.Record{Name: "_smtp._tls.two.test", Type: nameserver.TXT, Data: "v=TLSRPTv1; rua=mailto:a@two.test"},
		nameserver.Record{Name: "_smtp._tls.two.test", Type: nameserver.TXT, Data: "v=TLSRPTv1; rua=mailto:b@two.test"})
	policy := []string{"version: STSv1", "mode: enforce", "mx: mx.peer.test"}
	ip := netip.MustParseAddr("192.0.2.1")
	w.went(report.Session{Policy: "sts", Text: policy, Domain: "peer.test", Host: "mx.peer.test", Remote: ip},
		report.Session{Policy: "sts", Text: policy, Domain: "peer.test", Host: "mx2.peer.test", Remote: ip},
		report.Session{Policy: "sts", Text: policy, Domain: "peer.test", Host: "mx.peer.test", Remote: ip, Failure: "certificate-expired"},
		report.Session{Policy: "none", Domain: "peer.test", Host: "mx.peer.test", Remote: ip, Failure: "starttls-not-supported"},
		report.Session{Policy: "none", Domain: "peer.test", Host: "mx.peer.test", Remote: ip, Failure: "certificate-not-trusted"},
		report.Session{Policy: "none", Domain: "silent.test"}, report.Session{Policy: "none", Domain: "two.test"})
	w.advance(12 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if len(w.letters) != 1 {
		t.Fatalf("letters to %q", w.to())
	}
	header, part, content := unpacked(t, w.letters[0])
	var j struct {
		Organization string `json:"organization-name"`
		Range        struct{ Start, End time.Time }
		Policies     []struct {
			Policy struct {
				Type   string   `json:"policy-type"`
				Text   []string `json:"policy-string"`
				Domain string   `json:"policy-domain"`
			}
			Summary struct {
				OK     int `json:"total-successful-session-count"`
				Failed int `json:"total-failure-session-count"`
			}
			Failures []map[string]any `json:"failure-details"`
		}
	}
	w.must(json.Unmarshal(content, &j))
	for _, p := range j.Policies {
		want := map[string][3]int{"sts": {2, 1, 3}, "no-policy-found": {1, 1, 0}}[p.Policy.Type]
		if p.Policy.Domain != "peer.test" || [3]int{p.Summary.OK, p.Summary.Failed, len(p.Policy.Text)} != want || len(p.Failures) != 1 || p.Failures[0]["receiving-ip"] != "192.0.2.1" {
			t.Errorf("policy %+v", p)
		}
	}
	if len(j.Policies) != 2 || !strings.HasPrefix(part.Header.Get("Content-Type"), "application/tlsrpt+gzip") || header.Get("TLS-Report-Domain") != "peer.test" ||
		header.Get("TLS-Report-Submitter") != "ours.test" || !strings.Contains(header.Get("Content-Type"), `report-type="tlsrpt"`) {
		t.Errorf("%s\n%v %v", content, header, part.Header)
	}
}

// TestRFC7489_ExternalDestinations: who is named by somebody else must agree, or
// anybody could have our reports sent to anybody.
func TestRFC7489_ExternalDestinations(t *testing.T) {
	w := newWorld(t, nameserver.Record{Name: "asks.test._report._dmarc.agrees.test", Type: nameserver.TXT, Data: "v=DMARC1"},
		nameserver.Record{Name: "other.test._report._dmarc.victim.test", Type: nameserver.TXT, Data: "v=DMARC1"},
		nameserver.Record{Name: "asks.test._report._dmarc.odd.test", Type: nameserver.TXT, Data: "v=DMARC12"})
	w.fared(w.org, "asks.test", "203.0.113.9", "mailto:a@agrees.test", "mailto:b@victim.test", "mailto:c@mail.asks.test", "mailto:d@odd.test", "mailto:e@asks.test!1")
	w.fared(w.org, "flood.test", "203.0.113.9", "mailto:b@victim.test")
	w.fared(w.org, "web.test", "203.0.113.9", "https://web.test/report")
	w.advance(12 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if got := strings.Join(w.to(), " "); got != "a@agrees.test c@mail.asks.test" {
		t.Errorf("sent to %q", got)
	}
	left, err := w.store.FeedbackUntil(t.Context(), w.clock().AddDate(0, 0, 1), 10)
	if err != nil || len(left) != 0 {
		t.Errorf("%d are left, %v", len(left), err)
	}
}

// TestSendWaitsForNames: what cannot be found out now is tried later, and not for
// ever.
func TestSendWaitsForNames(t *testing.T) {
	w := newWorld(t)
	w.fared(w.org, "asks.test", "203.0.113.9", "mailto:a@elsewhere.test")
	w.fared(w.org, "near.test", "203.0.113.9", "mailto:a@near.test")
	w.must(w.names.Stop(t.Context()))
	w.advance(12 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if got := strings.Join(w.to(), " "); got != "a@near.test" {
		t.Errorf("sent to %q", got)
	}
	waiting := func() int {
		left, err := w.store.FeedbackUntil(t.Context(), w.clock().AddDate(0, 0, 1), 10)
		w.must(err)
		return len(left)
	}
	if waiting() != 1 {
		t.Error("the other is forgotten")
	}
	w.advance(4 * 24 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if waiting() != 0 {
		t.Error("it waits for ever")
	}
}

// TestInside: a report to one of our own domains is kept, and no mail.
func TestInside(t *testing.T) {
	w := newWorld(t)
	other := w.organization("other", "other.test", false)
	w.fared(w.org, "other.test", "203.0.113.9", "mailto:postern-reports@other.test")
	w.fared(other, "ours.test", "203.0.113.9", "mailto:postern-reports@ours.test") // which has no name to report in
	w.advance(12 * time.Hour)
	w.must(w.office.Send(t.Context()))
	if got := w.to(); len(got) != 0 {
		t.Errorf("sent to %q", got)
	}
	d, err := w.store.DomainByName(t.Context(), "other.test")
	w.must(err)
	all, err := report.Read(t.Context(), w.store, other, d.ID, w.clock().AddDate(0, 0, -2))
	if err != nil || len(all.Reports) != 1 || all.Reports[0].Reporter != "ours.test" || len(all.Aggregates[0].Rows) != 1 || all.Aggregates[0].Rows[0].Count != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestFeedbackIsBounded: a flood of senders fills no table, and is counted.
func TestFeedbackIsBounded(t *testing.T) {
	w := newWorld(t)
	results := msgauth.Results{DMARC: msgauth.DMARC{Value: msgauth.Fail, Domain: "asks.test", Published: &msgauth.Published{Domain: "asks.test", Reports: []string{"mailto:a@asks.test"}}}}
	w.must(w.store.Upkeep(t.Context(), func(u *storage.Upkeep) error {
		for i := range 1500 {
			e := report.Evaluation{Results: results, Remote: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Disposition: "none"}
			if err := report.CountMail(u, w.org, e); err != nil {
				return err
			}
		}
		return nil
	}))
	all, err := w.store.FeedbackUntil(t.Context(), w.clock().AddDate(0, 0, 1), 10)
	if err != nil || len(all) != 1 || all[0].More != 500 {
		t.Fatalf("%+v, %v", all, err)
	}
	rows, err := w.store.FeedbackRows(t.Context(), &all[0])
	if err != nil || len(rows) != 1000 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// receive sends a message to the reports about ours.test.
func (w *world) receive(text string) error {
	w.t.Helper()
	d, err := w.store.DomainByName(w.t.Context(), "ours.test")
	w.must(err)
	text = strings.ReplaceAll(text, "\n", "\r\n")
	_, err = w.office.Receive(w.t.Context(), report.Mail{Actor: audit.Actor{Kind: audit.Stranger}, Remote: netip.MustParseAddr("192.0.2.1"), HELO: "mx.sender.test",
		From: message.Path{Local: "r", Domain: "sender.test"}, Domain: d, Body: strings.NewReader(text), Size: int64(len(text))})
	return err
}

func rule(err error) string {
	var refused *report.RefusedError
	if errors.As(err, &refused) {
		return refused.Rule
	}
	return fmt.Sprint(err)
}

// TestReceive: what is taken of what comes to the address.
func TestReceive(t *testing.T) {
	w := newWorld(t, nameserver.Record{Name: "sender.test", Type: nameserver.TXT, Data: "v=spf1 ip4:192.0.2.1 -all"})
	w.organization("other", "other.test", true)
	const head = "From: r@sender.test\nMIME-Version: 1.0\nContent-Type: "
	aggregate := func(domain, id string) string {
		return head + "application/xml\n\n<feedback><report_metadata><org_name>s</org_name><report_id>" + id + "</report_id><date_range><begin>1772323200</begin><end>1772409599</end></date_range></report_metadata><policy_published><domain>" + domain + "</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.7</source_ip><count>2</count></row></record></feedback>\n"
	}
	tls := head + `application/tlsrpt+json

{"organization-name":"s","report-id":"1","date-range":{"start-datetime":"2026-03-01T00:00:00Z","end-datetime":"2026-03-01T23:59:59Z"},"policies":[{"policy":{"policy-type":"sts","policy-domain":"ours.test"},"summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]}
`
	for _, test := range []struct{ what, text, want string }{
		{"a report", aggregate("ours.test", "1"), "<nil>"},
		{"it again", aggregate("ours.test", "1"), "<nil>"},
		{"another", aggregate("Ours.test.", "2"), "<nil>"},
		{"about another organization", aggregate("other.test", "1"), "report-foreign"},
		{"about nobody", aggregate("nobody.test", "1"), "report-foreign"},
		{"in the name of another", strings.Replace(aggregate("ours.test", "3"), "r@sender.test", "r@victim.test", 1), "report-unproved"},
		{"of two authors", strings.Replace(aggregate("ours.test", "3"), "r@sender.test", "r@sender.test, r@victim.test", 1), "report-unproved"},
		{"about TLS, not signed", tls, "report-unsigned"}, // RFC 8460, section 5.3
		{"no report", head + "text/plain\n\nhello\n", "report-unreadable"},
		{"a mail within", head + "message/rfc822\n\n" + aggregate("ours.test", "3"), "report-unreadable"},
		{"a thousand parts", head + "multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\nContent-Type: text/plain\n\nx\n", 1000) + "--x\nContent-Type: application/xml\n\n<feedback/>\n--x--\n", "report-unreadable"},
		{"11 MiB", head + "application/xml\n\n" + strings.Repeat(" ", 11<<20), "report-size"},
	} {
		if got := rule(w.receive(test.text)); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
	d, err := w.store.DomainByName(t.Context(), "ours.test")
	w.must(err)
	all, err := report.Read(t.Context(), w.store, w.org, d.ID, time.Time{})
	if err != nil || len(all.Reports) != 2 || all.Reports[0].Reporter != "sender.test" || all.Aggregates[1].Rows[0].Count != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	for range 20 {
		w.receive("From: r@sender.test\n\nhello\n")
	}
	if got := rule(w.receive(aggregate("ours.test", "4"))); got != "report-rate" {
		t.Errorf("after much garbage: %s", got)
	}
}
