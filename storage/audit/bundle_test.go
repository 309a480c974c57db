package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAU7_BundleVerifies(t *testing.T) {
	l := aDay(t, 1234)
	kept := l.notes[3]
	last := func(x Export) Export { x.Checkpoint = l.notes[len(l.notes)-1]; return x }
	for _, x := range []Export{
		last(Export{From: 0, To: 1234}), last(Export{From: 100, To: 1000}), last(Export{From: 257, To: 258}),
		last(Export{From: 512, To: 1024}), last(Export{From: 1, To: 1233}), last(Export{From: 5, To: 5}),
		{From: 30, To: 600, Checkpoint: l.notes[7]}, {From: 0, To: 0, Checkpoint: l.notes[0]},
	} {
		r := verify(t, l.export(t, x), VerifyOptions{PublicKey: l.signer.PublicKey(), Strict: true})
		if !r.OK() || r.From != x.From || r.To != x.To || r.Events != x.To-x.From || !r.Signed {
			t.Errorf("%d to %d: %+v\n%s", x.From, x.To, r, problems(r))
		}
	}
	whole := l.export(t, Export{To: 1234})
	r := verify(t, whole, VerifyOptions{})
	if !r.OK() || r.Signed {
		t.Errorf("without a key: signed %v\n%s", r.Signed, problems(r))
	}
	r = verify(t, whole, VerifyOptions{PublicKey: l.signer.PublicKey(), Checkpoint: kept})
	if !r.OK() || !r.Compared {
		t.Errorf("with a checkpoint kept elsewhere: compared %v\n%s", r.Compared, problems(r))
	}
}

// aShortLog has five events, one without its personal half, and two checkpoints.
func aShortLog(t testing.TB) *aLog {
	l := newLog(t)
	for i := range 5 {
		at := epoch.Add(time.Duration(i) * time.Minute)
		if i == 2 {
			l.add(t, heartbeat(i, at))
			l.checkpoint(t, at)
			continue
		}
		l.add(t, received(i, at))
	}
	l.entries[3].Personal = nil
	l.checkpoint(t, epoch.Add(5*time.Minute))
	return l
}

var shortExports = map[string]Export{
	"whole":    {From: 0, To: 4},
	"range":    {From: 1, To: 3},
	"filtered": {From: 0, To: 5, Keep: func(e *Event) bool { return e.Verb == MessageReceived }},
}

// Exports that people keep must verify for as long as they keep them: these files were written once.
func TestBundleGolden(t *testing.T) {
	l := aShortLog(t)
	for name, x := range shortExports {
		got := l.export(t, x)
		file := filepath.Join("testdata", "bundle", name+".jsonl")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: an export writes\n%swant\n%s", name, got, want)
		}
		if r := verify(t, want, VerifyOptions{PublicKey: l.signer.PublicKey(), Strict: true}); !r.OK() {
			t.Errorf("%s:\n%s", name, problems(r))
		}
	}
}

// Each line is JSON for other people's tools too.
func TestAU10_BundleIsJSONLines(t *testing.T) {
	l := aDay(t, 120)
	for i, b := range splitBundle(l.export(t, Export{To: 120})) {
		if !json.Valid(b) {
			t.Errorf("line %d is not JSON: %s", i+1, b)
		}
	}
}

func TestAU7_BundleWithDestroyedKeys(t *testing.T) {
	l := aDay(t, 300)
	for i := range l.entries {
		if i%3 == 0 {
			l.entries[i].Personal = nil
		}
	}
	r := verify(t, l.export(t, Export{To: 300}), VerifyOptions{PublicKey: l.signer.PublicKey()})
	if !r.OK() || r.Redacted == 0 {
		t.Errorf("%d redacted\n%s", r.Redacted, problems(r))
	}
}

func TestAU10_FilteredBundleProvesInclusion(t *testing.T) {
	l := aDay(t, 1000)
	inbox := testID("inbox", 3)
	bundle := l.export(t, Export{From: 100, To: 900, Keep: func(e *Event) bool { return e.Inbox == inbox }})
	opts := VerifyOptions{PublicKey: l.signer.PublicKey(), Checkpoint: l.notes[len(l.notes)-1]}
	r := verify(t, bundle, opts)
	if !r.OK() || !r.Filtered || !r.Compared || r.Events != 80 {
		t.Errorf("%+v\n%s", r, problems(r))
	}
	if !bytes.Contains(bundle, []byte("inclusion only")) {
		t.Error("the bundle does not say that it proves inclusion only")
	}
	lines := splitBundle(bundle)
	changed := rerender(t, lines[7], func(e *Event) { e.Time = e.Time.Add(-time.Hour) })
	seq := seqOf(t, lines[7])
	lines[7] = changed
	r = verify(t, reseal(t, lines), opts)
	if r.OK() || r.Problems[0].From != seq || r.Problems[0].To != seq+1 {
		t.Errorf("a back-dated event %d of a filtered bundle:\n%s", seq, problems(r))
	}
}

func TestAU8_SilentIntervals(t *testing.T) {
	l := newLog(t)
	at := epoch
	for i := range 20 {
		at = at.Add(time.Minute)
		if i == 10 {
			at = at.Add(time.Hour)
		}
		l.add(t, heartbeat(i, at))
	}
	l.checkpoint(t, at)
	bundle := l.export(t, Export{To: 20})
	r := verify(t, bundle, VerifyOptions{PublicKey: l.signer.PublicKey()})
	if !r.OK() || len(r.Silent) != 1 || r.Silent[0].Seq != 10 || r.Silent[0].End.Sub(r.Silent[0].Start) != 61*time.Minute {
		t.Errorf("%+v\n%s", r.Silent, problems(r))
	}
	r = verify(t, bundle, VerifyOptions{PublicKey: l.signer.PublicKey(), Strict: true})
	if r.OK() || r.Problems[0].From != 10 {
		t.Errorf("strict:\n%s", problems(r))
	}
}

// rerender changes an event and writes its line again as an export would: only hashes can tell.
func rerender(t *testing.T, line []byte, change func(*Event)) []byte {
	t.Helper()
	x, proof, err := parseEventLine(line)
	if err != nil {
		t.Fatal(err)
	}
	e, err := DecodeEvent(x.Canonical, x.Personal)
	if err != nil {
		t.Fatal(err)
	}
	e.Seq = x.Seq
	change(e)
	x = Entry{e.Seq, e.Canonical(), e.PersonalBytes()}
	return appendEventLine(nil, e, x, proof)
}

// reseal counts and digests anew, as a careful forger would.
func reseal(t *testing.T, lines [][]byte) []byte {
	t.Helper()
	l, err := parseLine(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	l.Footer.Events, l.Footer.Checkpoints = 0, 0
	for _, b := range lines {
		if bytes.HasPrefix(b, eventPrefix) {
			l.Footer.Events++
		}
		if bytes.HasPrefix(b, []byte(`{"checkpoint"`)) {
			l.Footer.Checkpoints++
		}
	}
	body := bytes.Join(lines[:len(lines)-1], nil)
	sum := sha256.Sum256(body)
	l.Footer.SHA256 = hex.EncodeToString(sum[:])
	last, err := l.render()
	if err != nil {
		t.Fatal(err)
	}
	return append(body, last...)
}

func seqOf(t *testing.T, line []byte) uint64 {
	t.Helper()
	x, _, err := parseEventLine(line)
	if err != nil {
		t.Fatal(err)
	}
	return x.Seq
}

// An edit changes a bundle and says what has to be named: the event, or the interval that holds it.
type edit struct {
	name  string
	apply func(t *testing.T, rng *rand.Rand, lines [][]byte) (bundle []byte, seq uint64, exact bool)
}

// anEvent picks a line that is an event.
func anEvent(rng *rand.Rand, lines [][]byte) int {
	for {
		if i := rng.IntN(len(lines)); bytes.HasPrefix(lines[i], eventPrefix) {
			return i
		}
	}
}

var edits = []edit{
	{"flip a bit of an event's line", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		seq := seqOf(t, lines[i])
		lines[i] = slices.Clone(lines[i])
		lines[i][rng.IntN(len(lines[i]))] ^= 1 << rng.IntN(8)
		return bytes.Join(lines, nil), seq, true
	}},
	{"drop an event", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		seq := seqOf(t, lines[i])
		exact := bytes.HasPrefix(lines[i+1], eventPrefix) // a checkpoint that stands too early names its interval
		return reseal(t, slices.Delete(lines, i, i+1)), seq, exact
	}},
	{"drop an event and renumber", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		seq := seqOf(t, lines[i])
		lines = slices.Delete(lines, i, i+1)
		for ; i < len(lines); i++ {
			if bytes.HasPrefix(lines[i], eventPrefix) {
				lines[i] = rerender(t, lines[i], func(e *Event) { e.Seq-- })
			}
		}
		return reseal(t, lines), seq, false
	}},
	{"swap two events", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i, j := anEvent(rng, lines), anEvent(rng, lines)
		for i == j {
			j = anEvent(rng, lines)
		}
		seq := min(seqOf(t, lines[i]), seqOf(t, lines[j]))
		lines[i], lines[j] = lines[j], lines[i]
		return reseal(t, lines), seq, true
	}},
	{"swap two events and their numbers", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		for i+1 >= len(lines) || !bytes.HasPrefix(lines[i+1], eventPrefix) {
			i = anEvent(rng, lines)
		}
		seq := seqOf(t, lines[i])
		a := rerender(t, lines[i], func(e *Event) { e.Seq++ })
		lines[i], lines[i+1] = rerender(t, lines[i+1], func(e *Event) { e.Seq-- }), a
		return reseal(t, lines), seq, false
	}},
	{"repeat an event", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		seq := seqOf(t, lines[i])
		return reseal(t, slices.Insert(lines, i, lines[i])), seq + 1, true
	}},
	{"cut the file", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		seq := seqOf(t, lines[i])
		whole := append(bytes.Join(lines[:i], nil), lines[i][:rng.IntN(len(lines[i]))]...)
		return whole, seq, false
	}},
	{"cut events before the last line", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		seq := seqOf(t, lines[i])
		return reseal(t, append(slices.Clone(lines[:i]), lines[len(lines)-1])), seq, false
	}},
	{"back-date in the readable text", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		x, proof, _ := parseEventLine(lines[i])
		e, err := DecodeEvent(x.Canonical, x.Personal)
		if err != nil {
			t.Fatal(err)
		}
		e.Seq, e.Time = x.Seq, e.Time.Add(-time.Duration(1+rng.IntN(1e9)))
		e.Time = e.Time.Truncate(time.Microsecond)
		lines[i] = appendEventLine(nil, e, x, proof)
		return reseal(t, lines), x.Seq, true
	}},
	{"back-date and render again", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		lines[i] = rerender(t, lines[i], func(e *Event) { e.Time = e.Time.Add(-time.Duration(1+rng.IntN(1e6)) * time.Microsecond) })
		return reseal(t, lines), seqOf(t, lines[i]), false
	}},
	{"change a personal field and render again", func(t *testing.T, rng *rand.Rand, lines [][]byte) ([]byte, uint64, bool) {
		i := anEvent(rng, lines)
		lines[i] = rerender(t, lines[i], func(e *Event) {
			e.Personal, e.Salt = Fields{Text(KeySubject, "nothing happened")}, [32]byte{1}
		})
		return reseal(t, lines), seqOf(t, lines[i]), false
	}},
}

func TestAU7_EveryEditOfAnEventIsNamed(t *testing.T) {
	l := aDay(t, 350)
	// The range starts and ends in the middle, so that both proofs have hashes in them.
	pristine := l.export(t, Export{From: 37, To: 320})
	opts := VerifyOptions{PublicKey: l.signer.PublicKey()}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 1000 {
		e := edits[n%len(edits)]
		bundle, seq, exact := e.apply(t, rng, splitBundle(bytes.Clone(pristine)))
		r := verify(t, bundle, opts)
		if r.OK() {
			t.Fatalf("%s (%d): not detected", e.name, seq)
		}
		p := r.Problems[0]
		if p.From > seq || p.To <= seq || exact && p.To != p.From+1 || p.To-p.From > 100 && !strings.Contains(e.name, "cut") {
			t.Fatalf("%s: event %d was edited, and the first problem is %s", e.name, seq, p)
		}
	}
}

func TestAU7_EveryFlipIsDetected(t *testing.T) {
	l := aDay(t, 110)
	keep := func(e *Event) bool { return e.Verb == MessageReceived }
	for _, x := range []Export{{From: 0, To: 110}, {From: 33, To: 103}, {From: 33, To: 103, Keep: keep}} {
		pristine := l.export(t, x)
		rng := rand.New(rand.NewPCG(3, 4))
		// Half of the bytes of lines that are not events, and some of the others.
		var at []int
		offset := 0
		for _, line := range splitBundle(pristine) {
			for i := range line {
				if rng.IntN(2) == 0 && (!bytes.HasPrefix(line, eventPrefix) || rng.IntN(150) == 0) {
					at = append(at, offset+i)
				}
			}
			offset += len(line)
		}
		for _, i := range at {
			bundle := bytes.Clone(pristine)
			bundle[i] ^= 1 << rng.IntN(8)
			if r := verify(t, bundle, VerifyOptions{PublicKey: l.signer.PublicKey()}); r.OK() {
				t.Fatalf("byte %d: %q became %q, and nobody noticed", i,
					pristine[max(0, i-40):min(i+10, len(pristine))], bundle[max(0, i-40):min(i+10, len(bundle))])
			}
		}
	}
}

func TestAU7_DroppedAndSwappedCheckpoints(t *testing.T) {
	l := aDay(t, 500)
	pristine := splitBundle(l.export(t, Export{To: 500}))
	var marks []int
	for i, b := range pristine {
		if bytes.HasPrefix(b, []byte(`{"checkpoint"`)) {
			marks = append(marks, i)
		}
	}
	if len(marks) != 4 {
		t.Fatalf("%d checkpoints inside the range, want 4", len(marks))
	}
	opts := VerifyOptions{PublicKey: l.signer.PublicKey()}
	for n, i := range marks {
		if r := verify(t, bytes.Join(slices.Delete(slices.Clone(pristine), i, i+1), nil), opts); r.OK() {
			t.Errorf("checkpoint %d was dropped, and nobody noticed", n)
		}
		lines := slices.Clone(pristine)
		j := marks[(n+1)%len(marks)]
		lines[i], lines[j] = lines[j], lines[i]
		if r := verify(t, bytes.Join(lines, nil), opts); r.OK() {
			t.Errorf("checkpoints %d was swapped, and nobody noticed", n)
		}
	}
}

// Who holds the signing key can write another history; a checkpoint kept elsewhere tells.
func TestAU7_KeptCheckpointTellsAForgerWithTheKey(t *testing.T) {
	honest := aDay(t, 400)
	forged := newLog(t)
	for i, x := range honest.entries {
		e, err := DecodeEvent(x.Canonical, x.Personal)
		if err != nil {
			t.Fatal(err)
		}
		if i == 123 {
			e.Time = e.Time.Add(-time.Second)
		}
		forged.add(t, e)
		if (i+1)%100 == 0 {
			forged.checkpoint(t, e.Time)
		}
	}
	bundle := forged.export(t, Export{To: 400})
	if r := verify(t, bundle, VerifyOptions{PublicKey: honest.signer.PublicKey()}); !r.OK() {
		t.Errorf("a forger with the key was detected without a checkpoint kept elsewhere?\n%s", problems(r))
	}
	for n, note := range honest.notes {
		r := verify(t, bundle, VerifyOptions{PublicKey: honest.signer.PublicKey(), Checkpoint: note})
		if before := n == 0; r.OK() != before || !r.Compared {
			t.Errorf("checkpoint of %d: ok %v, compared %v", honest.sizes[n], r.OK(), r.Compared)
		}
	}
}

func TestVerifyBundleKeptCheckpointOutside(t *testing.T) {
	l, other := aDay(t, 500), newLog(t)
	other.signer = otherKey(t)
	strange := other.checkpoint(t, epoch)
	for _, c := range []struct {
		x    Export
		kept string
		want string
	}{
		{Export{From: 0, To: 300, Checkpoint: l.notes[2]}, l.notes[4], "events 300 to 499 (line 304): missing: the checkpoint that was kept is of a longer log"},
		{Export{From: 250, To: 300, Checkpoint: l.notes[2]}, l.notes[0], "line 52: the checkpoint that was kept is of 100 events, which this range does not contain: it was not compared"},
		{Export{From: 0, To: 100, Checkpoint: l.notes[0]}, strange, "audit: the checkpoint to compare with: audit: not a checkpoint signed by this key: note has no verifiable signatures"},
	} {
		r, err := VerifyBundle(bytes.NewReader(l.export(t, c.x)), VerifyOptions{PublicKey: l.signer.PublicKey(), Checkpoint: c.kept})
		got := strings.TrimSpace(problems(r))
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func TestVerifyBundleAnotherKey(t *testing.T) {
	l := aDay(t, 10)
	r := verify(t, l.export(t, Export{To: 10}), VerifyOptions{PublicKey: otherKey(t).PublicKey()})
	if r.OK() || !strings.Contains(r.Problems[0].What, "another key") {
		t.Errorf("%s", problems(r))
	}
}

func TestWriteBundleNamesWhatIsWrongInTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*aLog)
		want   string
	}{
		"missing":   {func(l *aLog) { l.entries[17].Seq = 18 }, "event 17 is missing"},
		"corrupt":   {func(l *aLog) { l.entries[17].Canonical[0] = 9 }, "event 17 of the log: audit: not a canonical event"},
		"uncovered": {func(l *aLog) { l.notes[0] = strings.Replace(l.notes[0], "\n50\n", "\n49\n", 1) }, "not covered"},
	} {
		l := aDay(t, 50)
		c.change(l)
		err := WriteBundle(&bytes.Buffer{}, l, Export{To: 50, Checkpoint: l.notes[0]})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyBundle(f *testing.F) {
	l := aShortLog(f)
	key := l.signer.PublicKey()
	for _, x := range shortExports {
		f.Add(l.export(f, x))
	}
	pristine := l.export(f, shortExports["whole"])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := VerifyBundle(bytes.NewReader(b), VerifyOptions{PublicKey: key})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Problems) > maxProblems {
			t.Errorf("%d problems", len(r.Problems))
		}
		if _, err := VerifyBundle(bytes.NewReader(b), VerifyOptions{}); err != nil {
			t.Fatal(err)
		}
		// Nobody without the signing key makes a bundle of the whole that is not the one.
		if r.OK() && r.From == 0 && r.To == 4 && !r.Filtered && r.Redacted == 0 && !bytes.Equal(b, pristine) {
			t.Errorf("accepted an edited bundle: %s", b)
		}
	})
}

func BenchmarkWriteBundle100k(b *testing.B) {
	l := aDay(b, 100_000)
	b.ResetTimer()
	b.SetBytes(int64(len(l.export(b, Export{To: 100_000}))))
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteBundle(io.Discard, l, Export{To: 100_000, Checkpoint: l.notes[len(l.notes)-1]}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyBundle100k(b *testing.B) {
	l := aDay(b, 100_000)
	bundle := l.export(b, Export{To: 100_000})
	b.SetBytes(int64(len(bundle)))
	b.ReportAllocs()
	for b.Loop() {
		if r := verify(b, bundle, VerifyOptions{PublicKey: l.signer.PublicKey()}); !r.OK() {
			b.Fatal(problems(r))
		}
	}
}
