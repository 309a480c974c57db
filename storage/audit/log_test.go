package audit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// aLog is a log in memory: what storage keeps in rows.
type aLog struct {
	*memoryTiles
	signer  *Signer
	tree    *Tree
	entries []Entry
	notes   []string
	sizes   []uint64
}

// testKey signs the logs of these tests, so that golden bundles and what a fuzzer found stay valid. It signs nothing else.
const testKey = "PRIVATE+KEY+mail.example.com/audit+9663c220+ARcOZ+HREoZ1y53dsjmUZca+XghcNIsYXsL006Pf5vUD"

func newLog(t testing.TB) *aLog {
	t.Helper()
	signer, err := OpenSigner(testKey)
	if err != nil {
		t.Fatal(err)
	}
	l := &aLog{memoryTiles: &memoryTiles{tiles: map[tileID][]byte{}}, signer: signer}
	if l.tree, err = NewTree(0, nil, l); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *aLog) Events(from, to uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, x := range l.entries[from:to] {
			if !yield(x, nil) {
				return
			}
		}
	}
}

func (l *aLog) Checkpoints(from, to uint64) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i, size := range l.sizes {
			if size > from && size < to && !yield(l.notes[i], nil) {
				return
			}
		}
	}
}

// add stores an event as it is.
func (l *aLog) add(t testing.TB, e *Event) {
	t.Helper()
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
	e.Seq = l.tree.Size()
	x := Entry{e.Seq, e.Canonical(), e.PersonalBytes()}
	l.entries = append(l.entries, x)
	leaf := LeafHash(x.Canonical)
	l.store(t, leaf, l.tree.Append(leaf))
}

func (l *aLog) checkpoint(t testing.TB, at time.Time) string {
	t.Helper()
	text, err := Checkpoint{Size: l.tree.Size(), Root: l.tree.Root(), Time: at}.Sign(l.signer)
	if err != nil {
		t.Fatal(err)
	}
	l.notes, l.sizes = append(l.notes, text), append(l.sizes, l.tree.Size())
	return text
}

// otherKey makes a key of the same name.
func otherKey(t testing.TB) *Signer {
	t.Helper()
	private, _, err := NewSigner("mail.example.com/audit")
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (l *aLog) export(t testing.TB, x Export) []byte {
	t.Helper()
	if x.Checkpoint == "" {
		x.Checkpoint = l.notes[len(l.notes)-1]
	}
	var b bytes.Buffer
	if err := WriteBundle(&b, l, x); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// testID returns the same id for the same name.
func testID(name string, n int) uuid.UUID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", name, n))
	return uuid.UUID(sum[:16])
}

// received returns event n of a made-up day: mail arriving in one of ten inboxes.
func received(n int, at time.Time) *Event {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return &Event{
		ID: testID("event", n), Time: at, Verb: MessageReceived, Outcome: OK,
		Actor: Actor{Kind: Stranger, Session: testID("session", n), Network: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})},
		Org:   testID("org", 0), Inbox: testID("inbox", n%10), Mailbox: testID("mailbox", n%10), Object: testID("message", n),
		Fields: Fields{
			Int(KeyUID, n/10+1), Int(KeyModSeq, n/10+2), Int(KeySize, 4000+n), Digest(KeySHA256, sum[:]),
			Word(KeyDoor, "mx"), Word(KeyTLS, "1.3"), Word(KeyVerdict, "unscored"),
		},
		Personal: Fields{
			Text(KeyFrom, fmt.Sprintf("person%d@elsewhere.test", n)), Text(KeyTo, "support@example.com"),
			Text(KeySubject, fmt.Sprintf("Order %d: \"now\"", n)), Text(KeyMessageID, fmt.Sprintf("<%d@elsewhere.test>", n)),
		},
		Salt: sum,
	}
}

func heartbeat(n int, at time.Time) *Event {
	return &Event{ID: testID("heartbeat", n), Time: at, Verb: ServerHeartbeat, Outcome: OK, Actor: Actor{Kind: System}}
}

// aDay returns a log of n events ten seconds apart, with a checkpoint after each hundred and one at the end.
func aDay(t testing.TB, n int) *aLog {
	l := newLog(t)
	for i := range n {
		at := epoch.Add(time.Duration(i) * 10 * time.Second)
		if i%6 == 0 {
			l.add(t, heartbeat(i, at))
		} else {
			l.add(t, received(i, at))
		}
		if (i+1)%100 == 0 {
			l.checkpoint(t, at.Add(time.Second))
		}
	}
	if len(l.sizes) == 0 || l.sizes[len(l.sizes)-1] != l.tree.Size() {
		l.checkpoint(t, epoch.Add(time.Duration(n)*10*time.Second))
	}
	return l
}

func verify(t testing.TB, bundle []byte, opts VerifyOptions) Report {
	t.Helper()
	r, err := VerifyBundle(bytes.NewReader(bundle), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func splitBundle(b []byte) [][]byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	return slices.DeleteFunc(lines, func(l []byte) bool { return len(l) == 0 })
}

func problems(r Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}
