package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// A bundle is the file that an export writes and that anybody verifies offline: JSON Lines, each line one of
//
//	{"header":{…}}                        first: what the file holds, and the signed checkpoint that covers it
//	{"event":{…},"canonical":"…", …}      the events in order
//	{"checkpoint":{…}}                    between them, each checkpoint that was signed there
//	{"footer":{…}}                        last: counts, a digest of the lines before, the rest of the range proof
//
// Every byte is determined by what the line says, so a verifier makes each line again and compares.
const bundleFormat = "postern-audit-bundle/1"

// MaxLine bounds a line of a bundle, in bytes.
const MaxLine = 16 << 20

// What a bundle proves; the header says which.
const (
	provesRange     = "these are all events of the range, in their order"
	provesInclusion = "inclusion only: each event is in the log, others of the range may have been left out"
)

// header is the first line.
type header struct {
	Format     string      `json:"format"`
	Origin     string      `json:"origin"`
	Key        string      `json:"key"`  // hint: name and hash of the public key that the reader needs
	From       uint64      `json:"from"` // first sequence number of the range
	To         uint64      `json:"to"`   // the sequence number after the range
	Size       uint64      `json:"size"` // of the tree that the checkpoint signs
	Filtered   bool        `json:"filtered"`
	Proves     string      `json:"proves"`
	Left       []tlog.Hash `json:"left"` // subtrees left of the range; empty when filtered
	Checkpoint string      `json:"checkpoint"`
}

// mark is the line of a checkpoint inside the range.
type mark struct {
	Size uint64 `json:"size"`
	Time string `json:"time"`
	Note string `json:"note"`
}

// footer is the last line.
type footer struct {
	Events      uint64      `json:"events"`
	Checkpoints uint64      `json:"checkpoints"`
	Right       []tlog.Hash `json:"right"`  // subtrees right of the range; empty when filtered
	SHA256      string      `json:"sha256"` // hex, of all lines before: finds damage, proves nothing
}

// line holds exactly one of the lines that are not events.
type line struct {
	Header     *header `json:"header,omitempty"`
	Checkpoint *mark   `json:"checkpoint,omitempty"`
	Footer     *footer `json:"footer,omitempty"`
}

var errLine = errors.New("the line is not one that an export writes")

// render returns the line with its line break.
func (l line) render() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("audit: render a line of the bundle: %w", err)
	}
	return b.Bytes(), nil
}

// parseLine reads what render wrote, line break included, and nothing else.
func parseLine(b []byte) (l line, err error) {
	if json.Unmarshal(b, &l) != nil {
		return line{}, errLine
	}
	kinds := 0
	for _, present := range [...]bool{l.Header != nil, l.Checkpoint != nil, l.Footer != nil} {
		if present {
			kinds++
		}
	}
	again, err := l.render()
	if err != nil || kinds != 1 || !bytes.Equal(again, b) {
		return line{}, errLine
	}
	return l, nil
}

func newMark(c Checkpoint, text string) *mark {
	return &mark{Size: c.Size, Time: c.Time.Format(timeFormat), Note: text}
}

var eventPrefix = []byte(`{"event":{"seq":`)

// appendEventLine appends the line of an event: its rendering, the bytes that it was rendered from, and in a filtered
// bundle its inclusion proof.
func appendEventLine(b []byte, e *Event, x Entry, proof tlog.RecordProof) []byte {
	b = e.AppendJSON(append(b, `{"event":`...))
	b = appendBase64(append(b, `,"canonical":"`...), x.Canonical)
	if x.Personal != nil {
		b = appendBase64(append(b, `,"opened":"`...), x.Personal)
	}
	if proof != nil {
		hashes := make([]byte, 0, 32*len(proof))
		for i := range proof {
			hashes = append(hashes, proof[i][:]...)
		}
		b = appendBase64(append(b, `,"proof":"`...), hashes)
	}
	return append(b, "}\n"...)
}

// parseEventLine takes the line of an event apart. It does not judge the rendering: the caller renders again.
func parseEventLine(b []byte) (x Entry, proof tlog.RecordProof, err error) {
	digits, _, _ := bytes.Cut(bytes.TrimPrefix(b, eventPrefix), []byte(","))
	x.Seq, err = strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return Entry{}, nil, errLine
	}
	// Inside a JSON string the quotes would be escaped: what text an event holds, the last of these is ours.
	i := bytes.LastIndex(b, []byte(`,"canonical":"`))
	if i < 0 {
		return Entry{}, nil, errLine
	}
	rest := b[i:]
	var hashes []byte
	if x.Canonical, rest, err = cutBase64(rest, `,"canonical":"`); err != nil {
		return Entry{}, nil, err
	}
	if x.Personal, rest, err = cutBase64(rest, `,"opened":"`); err != nil {
		return Entry{}, nil, err
	}
	if hashes, rest, err = cutBase64(rest, `,"proof":"`); err != nil {
		return Entry{}, nil, err
	}
	if string(rest) != "}\n" || len(hashes)%32 != 0 || len(hashes) > 64*32 {
		return Entry{}, nil, errLine
	}
	if hashes != nil {
		proof = make(tlog.RecordProof, 0, len(hashes)/32)
		for h := range slices.Chunk(hashes, 32) {
			proof = append(proof, tlog.Hash(h))
		}
	}
	return x, proof, nil
}

// cutBase64 takes the member with the given beginning off the front, nil when another stands there.
func cutBase64(b []byte, begin string) (value, rest []byte, err error) {
	after, ok := bytes.CutPrefix(b, []byte(begin))
	if !ok {
		return nil, b, nil
	}
	text, rest, ok := bytes.Cut(after, []byte(`"`))
	if !ok {
		return nil, nil, errLine
	}
	value = make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))
	if value, err = base64.StdEncoding.AppendDecode(value, text); err != nil {
		return nil, nil, errLine
	}
	return value, rest, nil
}

func appendBase64(b, v []byte) []byte { return append(base64.StdEncoding.AppendEncode(b, v), '"') }
