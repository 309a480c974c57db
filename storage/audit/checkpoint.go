package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// MaxNote bounds the text of a signed checkpoint, in bytes.
const MaxNote = 4 << 10

// Checkpoint is a statement about the tree: at Time it had Size leaves and this root. Its signed form is a C2SP
// tlog-checkpoint, a signed note whose lines are the origin, the size, the root in base64 and, as an extension line,
// the time:
//
//	mail.example.com/audit
//	1234
//	gf9qYC9hVcIcgrdoJEQKFKxhpzb3UKtYA4kYl/Ynhhs=
//	time 2026-01-02T03:04:05.678901Z
//
//	— mail.example.com/audit Az3grl…
type Checkpoint struct {
	Origin string // the installation's name, which is also the name of its key
	Size   uint64
	Root   [32]byte
	Time   time.Time // UTC, microseconds
}

// ErrCheckpoint says that a text is no signed checkpoint, or that its signature is not by the key.
var ErrCheckpoint = errors.New("audit: not a checkpoint signed by this key")

// timeFormat is RFC 3339 in UTC with six digits of a second, always.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// text returns what is signed.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", c.Origin, c.Size,
		base64.StdEncoding.EncodeToString(c.Root[:]), c.Time.UTC().Format(timeFormat))
}

// parseCheckpoint reads what text wrote, and nothing else.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(text) > MaxNote || len(lines) != 5 {
		return Checkpoint{}, ErrCheckpoint
	}
	c := Checkpoint{Origin: lines[0]}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	when, err3 := time.Parse("time "+timeFormat, lines[3])
	if err != nil || err2 != nil || err3 != nil || size > maxSize || len(root) != 32 {
		return Checkpoint{}, ErrCheckpoint
	}
	c.Size, c.Root, c.Time = size, [32]byte(root), when.UTC()
	if c.text() != text {
		return Checkpoint{}, ErrCheckpoint
	}
	return c, nil
}

// Sign returns the checkpoint as a signed note. Origin is the signer's name.
func (c Checkpoint) Sign(s *Signer) (string, error) {
	c.Origin = s.signer.Name()
	signed, err := note.Sign(&note.Note{Text: c.text()}, s.signer)
	if err != nil {
		return "", fmt.Errorf("audit: sign checkpoint: %w", err)
	}
	return string(signed), nil
}

// OpenCheckpoint reads a signed checkpoint and checks its signature.
func OpenCheckpoint(text string, v Verifier) (Checkpoint, error) {
	if len(text) > MaxNote {
		return Checkpoint{}, ErrCheckpoint
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("%w: its origin is %q and its key's name %q", ErrCheckpoint, c.Origin, v.Name())
	}
	return c, nil
}

// Covers reports whether the checkpoint covers the first size leaves and is not older than until. The zero time asks
// nothing of its age.
func (c Checkpoint) Covers(size uint64, until time.Time) bool {
	return c.Size >= size && !c.Time.Before(until)
}

// readNote reads a signed checkpoint, and with a verifier checks its signature. Without one it trusts nobody and says
// only what the note claims. A note has its one form here: no line that no signature needs, no second way to write one.
func readNote(text string, v Verifier) (c Checkpoint, key string, err error) {
	if v != nil {
		if _, err := OpenCheckpoint(text, v); err != nil {
			return Checkpoint{}, "", err
		}
	}
	_, err = note.Open([]byte(text), note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if len(text) > MaxNote || !errors.As(err, &unverified) {
		return Checkpoint{}, "", ErrCheckpoint
	}
	n := unverified.Note
	if c, err = parseCheckpoint(n.Text); err != nil {
		return Checkpoint{}, "", err
	}
	again := n.Text + "\n"
	for _, sig := range n.UnverifiedSigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return Checkpoint{}, "", ErrCheckpoint
		}
		again += "— " + sig.Name + " " + sig.Base64 + "\n"
	}
	if again != text {
		return Checkpoint{}, "", ErrCheckpoint
	}
	return c, keyHint(n.UnverifiedSigs, c.Origin), nil
}

// keyHint returns the name and hash of the key that signed in the origin's name: which public key to ask for.
func keyHint(sigs []note.Signature, origin string) string {
	for _, sig := range sigs {
		if sig.Name == origin {
			return fmt.Sprintf("%s+%08x", sig.Name, sig.Hash)
		}
	}
	return ""
}
