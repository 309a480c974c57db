package servertest_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"postern/server/servertest"
	"postern/storage"
)

// kindsOfMail are what senders send in this test, by the word in the subject.
var kindsOfMail = []string{"clean", "suspicious", "partial", "quarantine", "unscored", "clean"}

// TestPI1_NoMessageWithoutVerdict: while mail comes from several senders, by port 25 and by submission, a client that
// idles and one that polls look at each message in the moment in which they can first see it. It has its verdict then:
// in the header, as a keyword, in the record; and what was put away is never seen. // Invariant 5
func TestPI1_NoMessageWithoutVerdict(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	unlimited(t, p, p.Agents["clerk"])
	const senders, each = 4, 18 // each is a multiple of the kinds
	seen := senders * each * (len(kindsOfMail) - 1) / len(kindsOfMail)

	idler, poller := newViewer(t, p), newViewer(t, p)
	var all sync.WaitGroup
	all.Go(func() { idler.idle(seen) })
	all.Go(func() { poller.poll(seen) })
	for n := range senders {
		all.Go(func() {
			if n == 0 {
				s := submitter(t, p, "clerk")
				for i := range each {
					kind := kindsOfMail[i%len(kindsOfMail)]
					s.command("MAIL FROM:<clerk@alpha.test>")
					s.command("RCPT TO:<scout@alpha.test>")
					s.command("DATA")
					if r := s.finish(mailOfKind("clerk@alpha.test", kind, n, i)); r[:3] != "250" {
						t.Errorf("submission: %s", r)
					}
				}
				return
			}
			c := smtp(t, p)
			for i := range each {
				if r := c.send("scout@alpha.test", mailOfKind("ada@sender.test", kindsOfMail[i%len(kindsOfMail)], n, i)); r[:3] != "250" {
					t.Errorf("port 25: %s", r)
				}
			}
		})
	}
	all.Wait()
	for name, v := range map[string]*viewer{"idling": idler, "polling": poller} {
		if v.count != seen {
			t.Errorf("the %s client saw %d messages, want %d", name, v.count, seen)
		}
	}
}

func mailOfKind(from, kind string, n, i int) string {
	return fmt.Sprintf("From: %s\r\nTo: scout@alpha.test\r\nSubject: %s\r\nX-Test-Verdict: %s\r\nMessage-ID: <%d.%d@sender.test>\r\n\r\nhello\r\n", from, kind, kind, n, i)
}

// viewer is a client that looks at each message as soon as it sees that it is there.
type viewer struct {
	*peer
	p     *servertest.Postern
	next  uint32 // UID
	count int
}

func newViewer(t *testing.T, p *servertest.Postern) *viewer {
	v := &viewer{peer: imap(t, p, p.Agents["scout"]), p: p, next: 1}
	v.want("OK", "SELECT INBOX")
	return v
}

// idle looks whenever the server says that something is there.
func (v *viewer) idle(until int) {
	for v.count < until {
		for strings.Contains(string(v.fetch()), " EXISTS\r\n") { // said while it looked
		}
		if v.count >= until {
			return
		}
		v.say("t IDLE")
		for !exists.MatchString(v.line()) {
		}
		v.say("DONE")
		v.answer()
	}
}

var exists = regexp.MustCompile(`^\* \d+ EXISTS$`)

// poll looks without being told.
func (v *viewer) poll(until int) {
	for v.count < until {
		v.fetch()
	}
}

var fetched = regexp.MustCompile(`(?s)\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[HEADER.FIELDS \([^)]*\)\] \{\d+\}\r\n(.*?)\r\n\r\n`)

var verdictField = regexp.MustCompile(`(?i)Postern-Verdict: v=1; verdict=([a-z]+);(?: score=[01]\.\d\d; model=marked;)? id=([0-9a-f-]{36})`)

// fetch looks at all that is new.
func (v *viewer) fetch() []byte {
	data := v.want("OK", fmt.Sprintf("UID FETCH %d:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT POSTERN-VERDICT POSTERN-REASONS MESSAGE-ID)])", v.next))
	for _, m := range fetched.FindAllStringSubmatch(string(data), -1) {
		var uid uint32
		fmt.Sscan(m[1], &uid)
		if uid < v.next { // n:* is never empty (RFC 9051, section 9, sequence-set)
			continue
		}
		v.next = uid + 1
		v.count++
		v.check(uid, m[2], strings.ReplaceAll(m[3], "\r\n ", " "))
	}
	return data
}

// check holds header, keyword and record of a message against what it is.
func (v *viewer) check(uid uint32, flags, header string) {
	kind := ""
	for _, k := range kindsOfMail {
		if strings.Contains(header, "Subject: "+k) {
			kind = k
		}
	}
	field := verdictField.FindStringSubmatch(header)
	if field == nil || field[1] != kind || kind == "quarantine" {
		v.t.Errorf("UID %d is visible with %q", uid, header)
		return
	}
	if marked := strings.Contains(flags, "$InjectionSuspected"); marked != (kind != "clean") {
		v.t.Errorf("UID %d, %s, is visible with flags %q", uid, kind, flags)
	}
	runs, err := v.p.Server().Store().Scorings(v.t.Context(), v.p.Org.ID, uuid.MustParse(field[2]))
	if err != nil || len(runs) != 1 || runs[0].Verdict.String() != kind || runs[0].Cause != storage.ScoredAtDelivery {
		v.t.Errorf("UID %d, %s, is visible with records %+v, %v", uid, kind, runs, err)
	}
}
