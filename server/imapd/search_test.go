package imapd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// letterbox is a mailbox for searches: what each message is, and the mail itself.
var letterbox = []struct {
	flags storage.Flags
	text  string
}{
	{storage.Seen, "From: Alice <alice@example.net>\nTo: support@example.com\nSubject: plain words\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nMessage-ID: <one@example.net>\n\nThe quick brown fox.\n"},
	{storage.Flagged | storage.Answered, "From: =?utf-8?B?QsO2cnNl?= <boerse@example.org>\nCc: chief@example.com\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?=\nDate: Mon, 1 Jan 2024 23:59:59 -0800\nX-Mood: fair\n\nfox and goose\n"},
	{storage.Draft | storage.Junk, "From: carol@example.net\nBcc: hidden@example.com\nSubject: a long\n folded subject\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nVGhlIHNlY3JldCBpcyBpbiBoZXJl\n"},
	{storage.Deleted, "Subject: parts\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\nContent-Type: text/html; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n\n<p>caf=E9 na=\nive</p>\n--b\nContent-Type: application/octet-stream; name=data.bin\nContent-Transfer-Encoding: base64\n\nc2VjcmV0\n--b\nContent-Type: message/rfc822\n\nSubject: inner matter\n\nthe inner fox\n--b--\n"},
	{0, "\nno header at all\n"},
	{storage.InjectionSuspected, "From: dave@example.net\nSubject: bytes\n\nlatin: caf\xe9\n"},
}

// TestSearchKeys has each key of RFC 9051, section 6.4.4, answer as the RFC says.
func TestSearchKeys(t *testing.T) {
	h := newHome(t, nil)
	for _, l := range letterbox {
		h.deposit(t, storage.RoleInbox, l.flags, []byte(strings.ReplaceAll(l.text, "\n", "\r\n")))
	}
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.ok("STORE 5 +FLAGS.SILENT (mine)")
	for key, want := range map[string]string{
		"ALL": "1 2 3 4 5 6", "1:*": "1 2 3 4 5 6", "*": "6", "2,4:3": "2 3 4", "UID 5:99": "5 6", "UID *": "6",
		"ANSWERED": "2", "UNANSWERED": "1 3 4 5 6", "DELETED": "4", "UNDELETED": "1 2 3 5 6", "DRAFT": "3", "UNDRAFT": "1 2 4 5 6",
		"FLAGGED": "2", "UNFLAGGED": "1 3 4 5 6", "SEEN": "1", "UNSEEN": "2 3 4 5 6", "NEW": "", "RECENT": "", "OLD": "1 2 3 4 5 6",
		"KEYWORD $Junk": "3", "UNKEYWORD $junk": "1 2 4 5 6", "KEYWORD mine": "5", "KEYWORD MINE": "5", "KEYWORD never": "", "KEYWORD $InjectionSuspected": "6",
		"LARGER 300": "4", "SMALLER 25": "5", "NOT LARGER 300": "1 2 3 5 6",
		"SINCE 2-Jan-2026": "1 2 3 4 5 6", "ON 02-Jan-2026": "1 2 3 4 5 6", "BEFORE 2-Jan-2026": "", `SINCE "3-Jan-2026"`: "",
		"SENTON 1-Jan-2024": "1 2", "SENTSINCE 1-Jan-2024": "1 2", "SENTBEFORE 2-Jan-2024": "1 2", "SENTSINCE 2-Jan-2024": "", "NOT SENTSINCE 1-Jan-2020": "3 4 5 6",
		"FROM alice": "1", `FROM "Börse"`: "2", "FROM boerse@": "2", "TO support": "1", "CC chief": "2", "BCC hidden": "3", "FROM nobody": "",
		"SUBJECT words": "1", `SUBJECT "GRÜSSE"`: "", `SUBJECT "GRÜße"`: "2", `SUBJECT "long folded"`: "3", "SUBJECT inner": "",
		"HEADER X-Mood FAIR": "2", `HEADER x-mood ""`: "2", "HEADER Message-ID <one@": "1", "HEADER X-None x": "", `HEADER Subject "=?"`: "",
		"BODY fox": "1 2 4", "BODY FOX": "1 2 4", "BODY secret": "3", `BODY "café"`: "4 6", "BODY naive": "4", "BODY preamble": "", "BODY inner": "4", "BODY x-mood": "",
		"TEXT fox": "1 2 4", "TEXT x-mood": "2", "TEXT data.bin": "4", `TEXT "inner matter"`: "4", `TEXT "Grüße"`: "2", `TEXT ""`: "1 2 3 4 5 6", "TEXT header": "5",
		"NOT BODY fox": "3 5 6", "OR BODY secret SUBJECT words": "1 3", "(BODY fox SEEN)": "1", "NOT (BODY fox SEEN)": "2 3 4 5 6",
		"OR (SEEN) (OR FLAGGED DELETED)": "1 2 4", "BODY fox TEXT quick": "1", "1:3 UNSEEN BODY fox": "2", "OR 1 BODY secret": "1 3",
		"CHARSET UTF-8 SEEN": "1", "CHARSET us-ascii SEEN": "1", `"SEEN"`: "-", "SEEN SEEN": "1", "(SEEN)": "1", "NOT NOT SEEN": "1",
		"SMALLER 25 SINCE 1-Jan-2020": "5", "SMALLER 25 LARGER 1": "5", "SMALLER 25 SENTBEFORE 1-Jan-2020": "",
	} {
		lines, reply := c.do("SEARCH " + key)
		got := "-"
		if strings.HasPrefix(reply, "OK") && len(lines) == 1 {
			got = strings.TrimSpace(strings.TrimPrefix(lines[0], "* SEARCH"))
		}
		if got != want {
			t.Errorf("SEARCH %s: got %q, want %q: %s", key, got, want, reply)
		}
	}
	for key, want := range map[string]string{
		"": "BAD", "FROM": "BAD", "OR SEEN": "BAD", "NOT": "BAD", "(SEEN": "BAD", "SEEN)": "BAD", "UID x": "BAD", "LARGER x": "BAD", "LARGER -1": "BAD",
		"99": "BAD", "0": "BAD", "1:x": "BAD", "SINCE 31-Feb-2024": "BAD", "KEYWORD": "BAD", "CHARSET UTF-16 SEEN": "NO [BADCHARSET]", "X-GM-RAW x": "BAD",
		strings.Repeat("TEXT a ", 65) + "SEEN": "NO [LIMIT]", strings.Repeat("SEEN ", 600) + "SEEN": "NO [LIMIT]", strings.Repeat("OR SEEN ", 60) + "SEEN": "NO [LIMIT]",
	} {
		if _, reply := c.do("SEARCH " + key); !strings.HasPrefix(reply, want) {
			t.Errorf("SEARCH %.40s: %s, want %s", key, reply, want)
		}
	}
}

// TestSearchCombinations holds AND, OR and NOT over rows, envelopes and bodies against set arithmetic.
func TestSearchCombinations(t *testing.T) {
	h := newHome(t, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	const messages = 300 // enough for two goroutines
	words := []string{"ash", "birch", "cedar"}
	has := make([]map[string]bool, messages)
	var texts [2][][]byte
	order := []int{}
	for i := range messages {
		has[i] = map[string]bool{}
		var subject, body []string
		for _, w := range words {
			if rng.IntN(2) == 0 {
				subject = append(subject, w)
				has[i]["SUBJECT "+w] = true
			}
			if rng.IntN(2) == 0 {
				body = append(body, w)
				has[i]["BODY "+w] = true
			}
		}
		text := fmt.Appendf(nil, "Subject: %s\r\n\r\n%s\r\n", strings.Join(subject, " "), strings.Join(body, " "))
		texts[i%2] = append(texts[i%2], text)
	}
	for half, flags := range []storage.Flags{storage.Seen, 0} {
		h.deposit(t, storage.RoleInbox, flags, texts[half]...)
		for i := half; i < messages; i += 2 {
			has[i]["SEEN"] = flags == storage.Seen
			order = append(order, i)
		}
	}
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	for range 60 {
		key, match := randomKey(rng, words, 3)
		var want []string
		for n, i := range order {
			if match(n+1, has[i]) {
				want = append(want, fmt.Sprint(n+1))
			}
		}
		got := strings.Fields(strings.TrimPrefix(c.ok("SEARCH " + key)[0], "* SEARCH"))
		if !slices.Equal(got, want) {
			t.Errorf("SEARCH %s: %d, want %d", key, len(got), len(want))
		}
	}
}

// randomKey makes a key and what it means.
func randomKey(rng *rand.Rand, words []string, depth int) (string, func(n int, has map[string]bool) bool) {
	if depth > 0 {
		a, inA := randomKey(rng, words, depth-1)
		b, inB := randomKey(rng, words, depth-1)
		switch rng.IntN(4) {
		case 0:
			return "OR " + a + " " + b, func(n int, m map[string]bool) bool { return inA(n, m) || inB(n, m) }
		case 1:
			return "(" + a + " " + b + ")", func(n int, m map[string]bool) bool { return inA(n, m) && inB(n, m) }
		case 2:
			return "NOT " + a, func(n int, m map[string]bool) bool { return !inA(n, m) }
		}
	}
	w := words[rng.IntN(len(words))]
	switch rng.IntN(4) {
	case 0:
		return "SEEN", func(_ int, m map[string]bool) bool { return m["SEEN"] }
	case 1:
		a := rng.IntN(200) + 1
		return fmt.Sprintf("%d:%d", a, a+50), func(n int, _ map[string]bool) bool { return n >= a && n <= a+50 }
	case 2:
		return "SUBJECT " + w, func(_ int, m map[string]bool) bool { return m["SUBJECT "+w] }
	}
	return "BODY " + w, func(_ int, m map[string]bool) bool { return m["BODY "+w] }
}

// TestDivide: the parts of a search are its messages, each once.
func TestDivide(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var ranges []storage.UIDRange
		uid := uint32(1)
		for range rng.IntN(8) {
			uid += uint32(rng.IntN(30)) + 2
			last := uid + uint32(rng.IntN(60))
			ranges = append(ranges, storage.UIDRange{First: uid, Last: last})
			uid = last
		}
		n := rng.IntN(4) + 1
		parts := divide(ranges, n)
		if len(parts) > n {
			t.Fatalf("%v: %d parts", ranges, len(parts))
		}
		var joined []imap.UIDRange
		for _, r := range slices.Concat(parts...) {
			joined = append(joined, imap.UIDRange{Start: imap.UID(r.First), Stop: imap.UID(r.Last)})
		}
		if !slices.Equal(stored(normalize(joined)), ranges) {
			t.Fatalf("%v became %v", ranges, parts)
		}
	}
}

// TestDayOrder: days are numbered as the calendar has them.
func TestDayOrder(t *testing.T) {
	at := time.Date(1999, 12, 20, 0, 0, 0, 0, time.UTC)
	for range 1000 {
		next := at.AddDate(0, 0, 1)
		if day(at) >= day(next) {
			t.Fatal(at)
		}
		at = next
	}
}
