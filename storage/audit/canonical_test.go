package audit

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files again")

// cases are events of every shape that the encoding knows.
func cases() map[string]*Event {
	at := time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)
	salt := [32]byte{0: 0xa5, 31: 0x5a}
	return map[string]*Event{
		"heartbeat": heartbeat(1, at),
		"received":  received(7, at),
		"read-by-agent": {
			ID: testID("event", 2), Time: at, Verb: MessageRead, Outcome: OK,
			Actor: Actor{Kind: Agent, ID: testID("agent", 1), Credential: testID("credential", 1), Session: testID("session", 1),
				Network: netip.MustParseAddr("2001:db8::7")},
			Org: testID("org", 0), Agent: testID("agent", 1), Credential: testID("credential", 1),
			Inbox: testID("inbox", 1), Mailbox: testID("mailbox", 1),
			Fields: Fields{Set(KeyUIDs, UIDs{{1, 4}, {7, 7}, {4294967295, 4294967295}}), Word(KeyClass, "body"), Int(KeyCount, 6)},
			Salt:   salt,
		},
		"credential-created": {
			ID: testID("event", 3), Time: at, Verb: CredentialCreate, Outcome: OK,
			Actor: Actor{Kind: Unix, Name: "ops"}, Org: testID("org", 0), Agent: testID("agent", 1), Object: testID("credential", 9),
			Fields: Fields{Word(KeyScope, "read"), Word(KeyScope, "flag"), Time(KeyExpires, at.AddDate(0, 0, 90)), Word(KeyEnvironment, "live")},
			Writes: []Write{{"credential", bytes.Repeat([]byte{9}, 16), 1, [32]byte{1, 2, 3}}},
			Salt:   salt,
		},
		"domain-removed": {
			ID: testID("event", 4), Time: at, Verb: DomainRemove, Outcome: OK, Actor: Actor{Kind: Person, ID: testID("person", 1)},
			Org: testID("org", 0), Object: testID("domain", 1),
			Writes:   []Write{{"dkim_key", []byte("s1"), 3, [32]byte{}}, {"domain", bytes.Repeat([]byte{1}, 16), math.MaxUint64, [32]byte{}}},
			Personal: Fields{Text(KeyDomain, "bücher.example"), Text(KeyNote, "no longer ours")},
			Salt:     salt,
		},
		"moved": {
			ID: testID("event", 5), Time: at, Verb: MessageMoved, Outcome: OK, Actor: Actor{Kind: Agent, ID: testID("agent", 1)},
			Agent: testID("agent", 2), Mailbox: testID("mailbox", 1),
			Fields: Fields{Set(KeyUIDs, UIDs{{3, 3}}), ID(KeyToMailbox, testID("mailbox", 2)), Set(KeyToUIDs, UIDs{{90, 90}}),
				Flags(KeyFlags, []string{`\Seen`, "$Junk"}), Bool(KeyFiltered, true), Bool(KeyTruncated, false), Int(KeyStepMillis, -3600000)},
		},
		"hostile-text": {
			ID: testID("event", 6), Time: at, Verb: MessageSearched, Outcome: Refused, Actor: Actor{Kind: Agent, ID: testID("agent", 1)},
			Fields: Fields{Set(KeyUIDs, nil), Word(KeyRule, "limit.search")},
			Personal: Fields{Text(KeyTerms, "\x00\"}\\\n\t\x1b[31m"), Text(KeyTerms, "\xff\xfe not UTF-8"),
				Text(KeyTerms, "right\u202eleft\u2028line \U000e0041tag"), Text(KeyTerms, `,"canonical":"AAAA"`), Text(KeyTerms, "")},
			Salt: salt,
		},
	}
}

// A golden file holds the canonical bytes, the personal bytes and the JSON of an event. They are a promise: leaves that
// were written once must read and render the same for as long as the log is kept.
func TestCanonicalGolden(t *testing.T) {
	for name, e := range cases() {
		e.Seq = 42
		if err := e.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		canonical, personal := e.Canonical(), e.PersonalBytes()
		got := fmt.Sprintf("canonical %x\npersonal %x\nleaf %x\n%s\n", canonical, personal, LeafHash(canonical), e.AppendJSON(nil))
		file := filepath.Join("testdata", "canonical", name+".golden")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%swant\n%s", name, got, want)
		}
		back, err := DecodeEvent(canonical, personal)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back.Seq = e.Seq
		if !reflect.DeepEqual(back, e) {
			t.Errorf("%s: decoded\n%+v\nwant\n%+v", name, back, e)
		}
	}
}

// golden reads the bytes of a golden file.
func golden(t testing.TB, file string) (canonical, personal []byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, _ := hex.DecodeString(value)
		switch name {
		case "canonical":
			canonical = b
		case "personal":
			personal = b
		}
	}
	if len(personal) == 0 {
		personal = nil
	}
	return canonical, personal
}

// The leaf says nothing about people: no byte of a personal value is in it.
func TestLeafHoldsNothingPersonal(t *testing.T) {
	e := received(1, epoch)
	canonical := e.Canonical()
	for _, f := range e.Personal {
		if text := f.Value.(string); bytes.Contains(canonical, []byte(text)) {
			t.Errorf("the leaf holds the %s", f.Key)
		}
	}
	if bytes.Contains(canonical, e.Actor.Network.AsSlice()) {
		t.Error("the leaf holds the network")
	}
	// The salt hides what could be guessed: equal facts do not make equal leaves.
	other := *e
	other.Salt[0]++
	if bytes.Equal(canonical, other.Canonical()) {
		t.Error("the commitment does not depend on the salt")
	}
}

func TestDecodeEventWithoutItsPersonalHalf(t *testing.T) {
	e := received(1, epoch)
	canonical := e.Canonical()
	back, err := DecodeEvent(canonical, nil)
	if err != nil || !back.Redacted() || len(back.Personal) != 0 {
		t.Fatalf("%+v, %v", back, err)
	}
	if !bytes.Equal(back.Canonical(), canonical) {
		t.Error("a redacted event encodes to another leaf")
	}
	want, _ := e.Commitment()
	if got, ok := back.Commitment(); !ok || got != want {
		t.Error("a redacted event lost its commitment")
	}
	personal := e.PersonalBytes()
	personal[len(personal)-1] ^= 1
	if _, err := DecodeEvent(canonical, personal); err != ErrCommitment {
		t.Errorf("changed personal bytes: %v", err)
	}
	if _, err := DecodeEvent(heartbeat(1, epoch).Canonical(), personal); err != ErrCommitment {
		t.Errorf("personal bytes where there should be none: %v", err)
	}
}

// Each single changed byte of a leaf either does not decode or is another leaf that encodes to itself.
func TestDecodeEventIsStrict(t *testing.T) {
	for name, e := range cases() {
		canonical := e.Canonical()
		for i := range canonical {
			for bit := range 8 {
				b := bytes.Clone(canonical)
				b[i] ^= 1 << bit
				if back, err := DecodeEvent(b, nil); err == nil && !bytes.Equal(back.Canonical(), b) {
					t.Errorf("%s: byte %d bit %d: decoded, and encodes otherwise", name, i, bit)
				}
			}
			if _, err := DecodeEvent(canonical[:i], nil); err != ErrCanonical {
				t.Errorf("%s: cut at %d: %v", name, i, err)
			}
		}
		if _, err := DecodeEvent(append(bytes.Clone(canonical), 0), nil); err != ErrCanonical {
			t.Errorf("%s: with a byte more: %v", name, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	ok := func() *Event { return received(1, epoch) }
	for name, change := range map[string]func(*Event){
		"personal field among the clear ones": func(e *Event) { e.Fields = append(e.Fields, Text(KeySubject, "x")) },
		"unknown key":                         func(e *Event) { e.Fields = append(e.Fields, Field{Key(99), int64(1)}) },
		"unknown verb":                        func(e *Event) { e.Verb = 999 },
		"no outcome":                          func(e *Event) { e.Outcome = 0 },
		"no actor":                            func(e *Event) { e.Actor.Kind = 0 },
		"wrong type":                          func(e *Event) { e.Fields = append(e.Fields, Field{KeyCount, "1"}) },
		"int instead of int64":                func(e *Event) { e.Fields = append(e.Fields, Field{KeyCount, 1}) },
		"address as a word":                   func(e *Event) { e.Fields = append(e.Fields, Word(KeyRule, "a@b.test")) },
		"sentence as a word":                  func(e *Event) { e.Fields = append(e.Fields, Word(KeyRule, "meet me")) },
		"empty word":                          func(e *Event) { e.Fields = append(e.Fields, Word(KeyRule, "")) },
		"an agent's keyword in clear":         func(e *Event) { e.Fields = append(e.Fields, Flags(KeyFlags, []string{"$Secret"})) },
		"UIDs not in normal form":             func(e *Event) { e.Fields = append(e.Fields, Field{KeyUIDs, "1,2"}) },
		"personal half without salt":          func(e *Event) { e.Salt = [32]byte{} },
		"salt without personal half":          func(e *Event) { e.Personal, e.Actor.Network = nil, netip.Addr{} },
		"write without a table":               func(e *Event) { e.Writes = []Write{{ID: []byte{1}}} },
		"write without a row":                 func(e *Event) { e.Writes = []Write{{Table: "agent"}} },
		"before 1970":                         func(e *Event) { e.Time = time.Unix(-1, 0) },
		"after 9999":                          func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"time field after 9999":               func(e *Event) { e.Fields = append(e.Fields, Field{KeyNext, int64(endOfTime)}) },
		"too many fields":                     func(e *Event) { e.Fields = make(Fields, MaxFields+1) },
		"too long a text":                     func(e *Event) { e.Personal[0].Value = strings.Repeat("x", MaxText+1) },
		"too much in all": func(e *Event) {
			for range 70 {
				e.Personal = append(e.Personal, Text(KeyTo, strings.Repeat("x", MaxText)))
			}
		},
	} {
		e := ok()
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		change(e)
		if err := e.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "a@b.test") {
			t.Errorf("%s: the error quotes the value: %v", name, err)
		}
	}
}

func TestTextIsCutAtARune(t *testing.T) {
	f := Text(KeySubject, strings.Repeat("é", MaxText))
	if s := f.Value.(string); len(s) > MaxText || len(s) < MaxText-3 || !strings.HasSuffix(s, "é") {
		t.Errorf("%d bytes, ends in %q", len(s), s[len(s)-2:])
	}
	f = Text(KeySubject, strings.Repeat("\xbf", MaxText+9))
	if len(f.Value.(string)) > MaxText {
		t.Error("bytes that are no text are not cut")
	}
}

func TestStamp(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 1234567, time.FixedZone("CET", 3600))
	e := &Event{Verb: SessionRefused, Outcome: Refused, Actor: Actor{Kind: Stranger, Network: netip.MustParseAddr("::ffff:192.0.2.1")}}
	if err := e.Stamp(now); err != nil {
		t.Fatal(err)
	}
	if err := e.Check(); err != nil {
		t.Error(err)
	}
	if e.ID.Version() != 7 || e.Time.Location() != time.UTC || e.Time.Nanosecond() != 1234000 || e.Salt == [32]byte{} {
		t.Errorf("%+v", e)
	}
	back, err := DecodeEvent(e.Canonical(), e.PersonalBytes())
	if err != nil || back.Actor.Network != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("network %v, %v", back.Actor.Network, err)
	}
}

// Vocabularies are closed, complete and without double names: numbers are for ever.
func TestVocabularies(t *testing.T) {
	if len(Verbs()) != len(verbsByName) {
		t.Errorf("%d verbs, %d names", len(Verbs()), len(verbsByName))
	}
	for _, v := range Verbs() {
		if got, ok := ParseVerb(v.String()); !ok || got != v || strings.Count(v.String(), ".") != 1 {
			t.Errorf("verb %d: %s", v, v)
		}
	}
	names := map[string]Key{}
	for i, info := range keys {
		k := Key(i)
		if info.kind == kindNone {
			continue
		}
		if other, ok := names[info.name]; ok || info.name == "" {
			t.Errorf("key %d has the name of key %d: %q", k, other, info.name)
		}
		names[info.name] = k
		if k.Personal() != (info.kind == kindText) {
			t.Errorf("%s: text is personal, and what is personal is text", k)
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/canonical/*.golden")
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files", err)
	}
	for _, file := range files {
		canonical, personal := golden(f, file)
		f.Add(canonical, personal)
	}
	f.Fuzz(func(t *testing.T, canonical, personal []byte) {
		e, err := DecodeEvent(canonical, nil)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Canonical(), canonical) {
			t.Error("decodes and encodes to other bytes")
		}
		if err := e.Check(); err != nil && e.commitment == nil {
			t.Errorf("decodes and does not pass Check: %v", err)
		}
		e.AppendJSON(nil)
		if e.commitment == nil {
			return
		}
		// Let the leaf commit to these personal bytes, so that the fuzzer gets past the hash.
		sum := commit(personal)
		e.commitment = &sum
		if e, err = DecodeEvent(e.Canonical(), personal); err == nil && len(personal) > 0 {
			if !bytes.Equal(e.PersonalBytes(), personal) {
				t.Error("personal bytes decode and encode to others")
			}
			if err := e.Check(); err != nil {
				t.Errorf("decodes and does not pass Check: %v", err)
			}
			e.AppendJSON(nil)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	e := received(7, epoch)
	b.ReportAllocs()
	for b.Loop() {
		e.Canonical()
		e.PersonalBytes()
	}
	b.ReportMetric(float64(len(e.Canonical())), "leaf-bytes")
	b.ReportMetric(float64(len(e.PersonalBytes())), "personal-bytes")
}

func BenchmarkCheck(b *testing.B) {
	e := received(7, epoch)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	e := received(7, epoch)
	canonical, personal := e.Canonical(), e.PersonalBytes()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(canonical, personal); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e := received(7, epoch)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
	}
}
