package imapd

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/storage"
	"postern/storage/audit"
)

// An observer is a client that believes what it is told: it keeps the list of messages by the rules of RFC 9051, section
// 7.5, from nothing but the server's responses, and objects when they contradict each other.
type observer struct {
	*client
	name string
	uids []uint32          // 0 where it has not been told
	know map[uint32]string // flags
}

var (
	existsLine  = regexp.MustCompile(`^\* (\d+) EXISTS$`)
	expungeLine = regexp.MustCompile(`^\* (\d+) EXPUNGE$`)
	fetchLine   = regexp.MustCompile(`^\* (\d+) FETCH \((?:UID (\d+))? ?(?:FLAGS \(([^)]*)\))?\)$`)
)

// does runs a command. Commands that speak of sequence numbers must not be told of an EXPUNGE.
func (o *observer) does(command string) {
	o.t.Helper()
	word, _, _ := strings.Cut(command, " ")
	byNumber := word == "FETCH" || word == "STORE" || word == "SEARCH"
	lines, reply := o.do(command)
	for _, line := range lines {
		o.hears(command, line, byNumber)
	}
	if !strings.HasPrefix(reply, "OK") {
		o.t.Fatalf("%s: %s: %s", o.name, command, reply)
	}
}

func (o *observer) hears(command, line string, byNumber bool) {
	o.t.Helper()
	number := func(s string) uint32 { n, _ := strconv.ParseUint(s, 10, 32); return uint32(n) }
	if m := existsLine.FindStringSubmatch(line); m != nil {
		n := int(number(m[1]))
		if n < len(o.uids) {
			o.t.Fatalf("%s: %s: %s, but there were %d", o.name, command, line, len(o.uids))
		}
		o.uids = append(o.uids, make([]uint32, n-len(o.uids))...)
	}
	if m := expungeLine.FindStringSubmatch(line); m != nil {
		n := int(number(m[1]))
		if byNumber || n < 1 || n > len(o.uids) {
			o.t.Fatalf("%s: %s: %s, of %d", o.name, command, line, len(o.uids))
		}
		delete(o.know, o.uids[n-1])
		o.uids = slices.Delete(o.uids, n-1, n)
	}
	if m := fetchLine.FindStringSubmatch(line); m != nil {
		n, uid := int(number(m[1])), number(m[2])
		if n < 1 || n > len(o.uids) || o.uids[n-1] != 0 && o.uids[n-1] != uid {
			o.t.Fatalf("%s: %s: %s contradicts %v", o.name, command, line, o.uids)
		}
		o.uids[n-1] = uid
		if strings.Contains(line, "FLAGS") {
			o.know[uid] = m[3]
		}
	}
}

// TestViewsAgree has several sessions and deliveries change one mailbox at random, one step at a time. No session may be
// told anything that contradicts what it was told before, and in the end what all of them believe is what the store has.
func TestViewsAgree(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHome(t, nil)
			rng := rand.New(rand.NewPCG(seed, 1))
			h.fill(t, 10, 200)
			var all []*observer
			for i := range 4 {
				o := &observer{client: h.login(t, "scout"), name: fmt.Sprint("session ", i), know: map[uint32]string{}}
				o.does("SELECT INBOX")
				all = append(all, o)
			}
			for range 250 {
				step(t, h, rng, all[rng.IntN(len(all))])
			}
			settle(t, h, all)
		})
	}
}

// step is one act of one session, or of the world.
func step(t *testing.T, h *home, rng *rand.Rand, o *observer) {
	some := func() string {
		if len(o.uids) == 0 {
			return "1:*"
		}
		a, b := rng.IntN(len(o.uids))+1, rng.IntN(len(o.uids))+1
		return fmt.Sprintf("%d,%d:%d", a, min(a, b), max(a, b))
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, "work", "home"}[rng.IntN(5)]
	silent := []string{"", ".SILENT"}[rng.IntN(2)]
	sign := string("+-"[rng.IntN(2)])
	switch rng.IntN(12) {
	case 0, 1:
		h.fill(t, 1+rng.IntN(3), 200)
	case 2, 3:
		set := some()
		o.does(fmt.Sprintf("STORE %s %sFLAGS%s (%s)", set, sign, silent, flag))
		if silent != "" {
			o.does("FETCH " + set + " (UID FLAGS)") // it knows what it did; this is how we do
		}
	case 4:
		o.does(fmt.Sprintf("UID STORE %d:* %sFLAGS (%s)", rng.IntN(20)+1, sign, flag))
	case 5, 6:
		o.does("FETCH " + some() + " (UID FLAGS)")
	case 7:
		o.does("EXPUNGE")
	case 8:
		o.does(fmt.Sprintf("UID MOVE %d Trash", rng.IntN(30)+1))
	case 9:
		o.does("SEARCH UNSEEN")
	case 10:
		o.idles()
	default:
		o.does("NOOP")
	}
}

// idles goes into IDLE and out again.
func (o *observer) idles() {
	o.write("i IDLE\r\nDONE\r\n")
	for {
		line := o.line()
		if strings.HasPrefix(line, "i OK") {
			return
		}
		o.hears("IDLE", line, false)
	}
}

// settle has everybody catch up, and compares.
func settle(t *testing.T, h *home, all []*observer) {
	in := h.door(t)
	box, err := in.MailboxByRole(t.Context(), storage.RoleInbox)
	check(t, err)
	flags := map[uint32]string{}
	var uids []uint32
	check(t, in.Scan(t.Context(), box.ID, []storage.UIDRange{{First: 1, Last: 1<<32 - 1}}, false, func(m *storage.Message) error {
		uids = append(uids, m.UID)
		flags[m.UID] = strings.Join(m.Flags.Names(box.Keywords), " ")
		return nil
	}))
	for _, o := range all {
		o.does("NOOP")
		for uid, f := range o.know {
			if flags[uid] != f {
				t.Errorf("%s thinks that %d has %q, and it has %q", o.name, uid, f, flags[uid])
			}
		}
		if len(uids) > 0 {
			o.does("FETCH 1:* (UID FLAGS)")
		}
		if !slices.Equal(o.uids, uids) {
			t.Errorf("%s thinks that there are %v, and there are %v", o.name, o.uids, uids)
		}
	}
	if len(h.events(t, audit.MessageRead)) > 0 {
		t.Error("UIDs and flags are no content")
	}
}
