package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// SilentAfter is how long the log may go without an event. Heartbeats come every 60 s.
const SilentAfter = 180 * time.Second

// Bounds of a report. Verification ends with the last problem that fits.
const (
	maxProblems = 16
	maxSilences = 1000
)

// VerifyOptions says what to hold a bundle against.
type VerifyOptions struct {
	PublicKey  string // text of the public key; without it signatures are not checked
	Checkpoint string // a signed checkpoint that was kept elsewhere; optional
	Strict     bool   // silent intervals are problems
}

// Report is what a bundle turned out to be.
type Report struct {
	Origin   string
	Key      string    // name and hash of the key that the bundle says signed it
	From, To uint64    // the range that the bundle claims
	Size     uint64    // of the tree that the bundle's checkpoint signs
	Time     time.Time // of that checkpoint
	Filtered bool      // proves inclusion only
	Signed   bool      // signatures were checked: a public key was given
	Compared bool      // the checkpoint kept elsewhere was compared
	Events   uint64    // event lines read
	Redacted uint64    // of these, events whose personal half is not there
	Silent   []Silence
	Silences uint64 // how many silent intervals there were; Silent holds the first 1000
	Problems []Problem
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Silence is an interval without an event, longer than SilentAfter.
type Silence struct {
	Seq           uint64 // of the event after it
	Start, End    time.Time
	Before, After Verb // what stands at its ends: server.stop and server.start for an orderly stop
}

// Problem names what is wrong: one sequence number (To is From+1), an interval [From, To), or with From equal to To no
// event but a line that is not one.
type Problem struct {
	From, To uint64
	Line     int // of the file, from 1
	What     string
}

// String says where and what.
func (p Problem) String() string {
	switch {
	case p.From == p.To:
		return fmt.Sprintf("line %d: %s", p.Line, p.What)
	case p.From+1 == p.To:
		return fmt.Sprintf("event %d (line %d): %s", p.From, p.Line, p.What)
	}
	return fmt.Sprintf("events %d to %d (line %d): %s", p.From, p.To-1, p.Line, p.What)
}

// VerifyBundle reads a bundle and says what it proves. It reads line by line and holds a frontier, not the file. An
// error is one of reading or of the options; whatever is wrong with the bundle is a Problem, the first one first.
func VerifyBundle(r io.Reader, opts VerifyOptions) (Report, error) {
	v := &verification{opts: opts, sum: sha256.New()}
	if err := v.prepare(); err != nil {
		return Report{}, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), MaxLine+1)
	lines.Split(splitLines)
	for !v.done && lines.Scan() {
		v.number++
		v.line(lines.Bytes())
	}
	switch err := lines.Err(); {
	case v.done:
	case errors.Is(err, bufio.ErrTooLong):
		v.stop("the line is too long")
	case err != nil:
		return v.Report, fmt.Errorf("audit: read the bundle: %w", err)
	case v.footer == nil:
		v.number++
		v.problem(v.next, v.To, "the file ends before its last line")
	}
	if v.footer != nil {
		v.finish()
	}
	return v.Report, nil
}

// splitLines cuts after line feeds only and hands over the last line even without one; what lacks it does not render
// alike and so is found.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// verification is a bundle being read.
type verification struct {
	Report
	opts     VerifyOptions
	verifier Verifier    // nil without a public key
	kept     *Checkpoint // kept elsewhere; nil without one
	header   *header
	footer   *footer
	cover    Checkpoint // the header's
	tree     frontier   // of the leaves so far
	good     uint64     // the size up to which a checkpoint confirmed the leaves
	forked   bool       // a root differed: all later ones do
	next     uint64     // the lowest sequence number that may follow
	marks    uint64
	marked   time.Time // of the last checkpoint
	time     time.Time // of the last event
	verb     Verb      // of the last event
	sum      hash.Hash // of the lines before the footer
	number   int       // of the line
	buf      []byte
	done     bool
}

func (v *verification) prepare() (err error) {
	if v.opts.PublicKey != "" {
		if v.verifier, err = OpenVerifier(v.opts.PublicKey); err != nil {
			return err
		}
		v.Signed = true
	}
	if v.opts.Checkpoint != "" {
		c, _, err := readNote(v.opts.Checkpoint, v.verifier)
		if err != nil {
			return fmt.Errorf("audit: the checkpoint to compare with: %w", err)
		}
		v.kept = &c
	}
	return nil
}

// problem records what is wrong, and goes on.
func (v *verification) problem(from, to uint64, what string) {
	v.Problems = append(v.Problems, Problem{from, to, v.number, what})
	v.done = v.done || len(v.Problems) == maxProblems
}

// stop records what is wrong with the event that has to stand here, and ends: nothing after it can be placed.
func (v *verification) stop(what string) {
	v.done = true
	if v.header == nil || v.footer != nil || v.Filtered || v.next >= v.To {
		v.problem(v.next, v.next, what)
		return
	}
	v.problem(v.next, v.next+1, what)
}

// reject records what is wrong with a line that is no event, and ends.
func (v *verification) reject(what string) {
	v.done = true
	v.problem(v.next, v.next, what)
}

func (v *verification) line(b []byte) {
	if v.footer != nil {
		v.reject("there is more after the last line")
		return
	}
	if v.header != nil && bytes.HasPrefix(b, eventPrefix) {
		v.sum.Write(b)
		v.event(b)
		return
	}
	l, err := parseLine(b)
	switch {
	case err != nil:
		v.stop(err.Error())
	case l.Header != nil && v.header == nil:
		v.sum.Write(b)
		v.begin(l.Header)
	case l.Checkpoint != nil && v.header != nil:
		v.sum.Write(b)
		v.mark(l.Checkpoint)
	case l.Footer != nil && v.header != nil:
		v.footer = l.Footer
	default:
		v.reject("this line does not belong here")
	}
}

// begin reads the header. What it says about the checkpoint has to be what the checkpoint says.
func (v *verification) begin(h *header) {
	cover, key, err := readNote(h.Checkpoint, nil)
	switch {
	case h.Format != bundleFormat:
		v.reject("this version does not know the format")
		return
	case err != nil:
		v.reject("the header holds no checkpoint")
		return
	case h.Origin != cover.Origin || h.Key != key || h.Size != cover.Size || h.From > h.To || h.To > h.Size ||
		h.Filtered != (h.Proves == provesInclusion) || h.Filtered == (h.Proves == provesRange):
		v.reject("the header contradicts itself")
		return
	case v.kept != nil && v.kept.Origin != h.Origin:
		v.reject("the checkpoint that was kept is of another log, " + v.kept.Origin)
		return
	case v.verifier != nil && key != fmt.Sprintf("%s+%08x", v.verifier.Name(), v.verifier.KeyHash()):
		v.reject(fmt.Sprintf("the bundle is signed by another key (%s) than the one given (%s+%08x)",
			key, v.verifier.Name(), v.verifier.KeyHash()))
		return
	}
	v.Origin, v.Key, v.From, v.To, v.Size, v.Filtered = h.Origin, h.Key, h.From, h.To, h.Size, h.Filtered
	v.Time, v.cover, v.next = cover.Time, cover, h.From
	if v.verifier != nil {
		if _, err := OpenCheckpoint(h.Checkpoint, v.verifier); err != nil {
			v.problem(h.From, h.To, "the signature of the header's checkpoint is wrong")
		}
	}
	if !v.extend(h.Left, 0, h.From) {
		v.reject("the header's proof does not fit the range")
		return
	}
	v.header = h
}

// extend appends the subtrees that stand for the leaves from up to another. A filtered bundle has none.
func (v *verification) extend(subtrees []tlog.Hash, from, to uint64) bool {
	if v.Filtered {
		return len(subtrees) == 0
	}
	v.compare()
	for _, h := range subtrees {
		if from >= to {
			return false
		}
		level := subtree(from, to)
		v.tree.append(level, h, nil)
		v.compare()
		from += 1 << level
	}
	return from == to
}

// compare holds the tree against the checkpoint that was kept elsewhere, once it has its size.
func (v *verification) compare() {
	if v.kept == nil || v.Compared || v.kept.Size != v.tree.size {
		return
	}
	v.Compared = true
	if v.tree.root() != v.kept.Root {
		v.problem(0, v.kept.Size, "the log differs from the checkpoint that was kept")
	}
}

func (v *verification) event(b []byte) {
	x, proof, err := parseEventLine(b)
	switch {
	case err != nil:
		v.stop(err.Error())
		return
	case x.Seq >= v.To || x.Seq < v.next:
		v.stop(fmt.Sprintf("event %d does not belong here", x.Seq))
		return
	case x.Seq > v.next && !v.Filtered:
		v.stop(fmt.Sprintf("the event is missing; event %d stands here", x.Seq))
		return
	}
	v.next = x.Seq + 1
	v.Events++
	v.prove(x, proof)
	v.read(b, x, proof)
	if !v.Filtered {
		v.compare()
	}
}

// prove adds the leaf to the tree, or in a filtered bundle checks that it is in the tree.
func (v *verification) prove(x Entry, proof tlog.RecordProof) {
	leaf := LeafHash(x.Canonical)
	if !v.Filtered {
		v.tree.append(0, leaf, nil)
		return
	}
	if tlog.CheckRecord(proof, int64(v.cover.Size), v.cover.Root, int64(x.Seq), leaf) != nil {
		v.problem(x.Seq, x.Seq+1, "the event is not in the log at this place, or it was changed")
	}
}

// read checks that what a person reads in the line is what the leaf says.
func (v *verification) read(b []byte, x Entry, proof tlog.RecordProof) {
	e, err := DecodeEvent(x.Canonical, x.Personal)
	if errors.Is(err, ErrCommitment) {
		v.problem(x.Seq, x.Seq+1, "the opened personal fields are not the ones that the event commits to")
		return
	}
	if err != nil {
		v.problem(x.Seq, x.Seq+1, "the event does not decode")
		return
	}
	e.Seq = x.Seq
	if e.Redacted() {
		v.Redacted++
	}
	v.buf = appendEventLine(v.buf[:0], e, x, proof)
	if !bytes.Equal(v.buf, b) || proof != nil && !v.Filtered {
		v.problem(x.Seq, x.Seq+1, "the readable text differs from what was recorded")
	}
	v.listen(e)
}

// listen finds the intervals without an event.
func (v *verification) listen(e *Event) {
	if v.Filtered {
		return
	}
	if !v.time.IsZero() && e.Time.Sub(v.time) > SilentAfter {
		v.Silences++
		if len(v.Silent) < maxSilences {
			v.Silent = append(v.Silent, Silence{e.Seq, v.time, e.Time, v.verb, e.Verb})
		}
		if v.opts.Strict {
			v.problem(e.Seq, e.Seq+1, fmt.Sprintf("no event for %s before it", e.Time.Sub(v.time)))
		}
	}
	v.time, v.verb = e.Time, e.Verb
}

// mark reads a checkpoint that was signed inside the range: it tells in which interval a change is.
func (v *verification) mark(m *mark) {
	c, key, err := readNote(m.Note, nil)
	switch {
	case err != nil || *newMark(c, m.Note) != *m || key != v.Key || v.Filtered:
		v.reject("the checkpoint is not one of this log")
		return
	}
	if v.verifier != nil {
		if _, err := OpenCheckpoint(m.Note, v.verifier); err != nil {
			v.problem(max(v.good, v.From), v.next, "the signature of the checkpoint after them is wrong")
			return
		}
	}
	if c.Size != v.next || c.Size == v.From || c.Time.Before(v.marked) {
		v.done = true
		v.problem(max(v.good, v.From), min(max(c.Size, v.next), v.To),
			fmt.Sprintf("a checkpoint of %d stands before event %d: missing, moved, or renumbered", c.Size, v.next))
		return
	}
	v.marks++
	v.marked = c.Time
	v.confirm(c)
}

// confirm compares the leaves so far with a checkpoint of as many.
func (v *verification) confirm(c Checkpoint) {
	switch {
	case v.tree.root() == c.Root:
		v.good = c.Size
		return
	case v.forked:
		return
	}
	v.forked = true
	switch {
	case v.good == v.To:
		v.problem(v.To, c.Size, "the proof of what comes after the range does not lead to the checkpoint")
	case v.good < v.From:
		v.problem(v.From, min(c.Size, v.To), "changed, or the proof of what comes before the range was: "+
			"they do not lead to the next checkpoint")
	default:
		v.problem(v.good, min(c.Size, v.To), "changed: the log agrees with the checkpoint before and not with the next one")
	}
}

// finish reads the footer.
func (v *verification) finish() {
	f := v.footer
	if v.done {
		return
	}
	if !v.Filtered && v.next != v.To {
		v.problem(max(v.good, v.From), v.To, fmt.Sprintf("missing or renumbered: the range ends before event %d", v.next))
		return
	}
	if f.Events != v.Events || f.Checkpoints != v.marks {
		v.problem(v.next, v.next, fmt.Sprintf("%d events and %d checkpoints were written, %d and %d are here",
			f.Events, f.Checkpoints, v.Events, v.marks))
	}
	if !v.extend(f.Right, v.To, v.Size) {
		v.problem(v.next, v.next, "the footer's proof does not fit the range")
		return
	}
	if !v.Filtered {
		v.confirm(v.cover)
	}
	if v.OK() && f.SHA256 != hex.EncodeToString(v.sum.Sum(nil)) {
		v.problem(v.next, v.next, "the file was changed after it was written")
	}
	if v.kept != nil && !v.Compared {
		v.compareApart()
	}
}

// compareApart is for a kept checkpoint of a size that the range did not pass.
func (v *verification) compareApart() {
	switch {
	case v.kept.Size == v.Size:
		v.Compared = true
		if v.kept.Root != v.cover.Root {
			v.problem(0, v.Size, "the log differs from the checkpoint that was kept")
		}
	case v.kept.Size > v.Size:
		v.problem(v.Size, v.kept.Size, "missing: the checkpoint that was kept is of a longer log")
	default:
		v.problem(v.next, v.next, fmt.Sprintf(
			"the checkpoint that was kept is of %d events, which this range does not contain: it was not compared", v.kept.Size))
	}
}
