package audit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func TestCheckpoint(t *testing.T) {
	l := aDay(t, 10)
	verifier, err := OpenVerifier(l.signer.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	text := l.notes[0]
	c, err := OpenCheckpoint(text, verifier)
	want := Checkpoint{Origin: "mail.example.com/audit", Size: 10, Root: l.tree.Root(), Time: epoch.Add(100 * time.Second)}
	if err != nil || c != want {
		t.Errorf("%+v, %v\nwant %+v", c, err, want)
	}
	for i := range text {
		b := []byte(text)
		b[i] ^= 1
		if _, _, err := readNote(string(b), verifier); err == nil {
			t.Errorf("byte %d: %q was accepted", i, b)
		}
	}
	stranger, _ := OpenVerifier(otherKey(t).PublicKey())
	if _, err := OpenCheckpoint(text, stranger); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("with another key: %v", err)
	}
}

// A signature over something else is not a checkpoint, even by the right key.
func TestOpenCheckpointRefusesOtherNotes(t *testing.T) {
	l := newLog(t)
	verifier, _ := OpenVerifier(l.signer.PublicKey())
	root := "gf9qYC9hVcIcgrdoJEQKFKxhpzb3UKtYA4kYl/Ynhhs="
	for name, text := range map[string]string{
		"other origin":    "elsewhere.test/audit\n7\n" + root + "\ntime 2026-03-01T09:00:00.000000Z\n",
		"no time":         "mail.example.com/audit\n7\n" + root + "\n",
		"two times":       "mail.example.com/audit\n7\n" + root + "\ntime 2026-03-01T09:00:00.000000Z\ntime 2026-03-01T09:00:00.000000Z\n",
		"short time":      "mail.example.com/audit\n7\n" + root + "\ntime 2026-03-01T09:00:00Z\n",
		"signed size":     "mail.example.com/audit\n+7\n" + root + "\ntime 2026-03-01T09:00:00.000000Z\n",
		"leading zero":    "mail.example.com/audit\n07\n" + root + "\ntime 2026-03-01T09:00:00.000000Z\n",
		"impossible size": "mail.example.com/audit\n18446744073709551615\n" + root + "\ntime 2026-03-01T09:00:00.000000Z\n",
		"short root":      "mail.example.com/audit\n7\ngf9q\ntime 2026-03-01T09:00:00.000000Z\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, l.signer.signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCheckpoint(string(signed), verifier); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenCheckpoint(strings.Repeat("x", MaxNote+1), verifier); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("too long: %v", err)
	}
}

func TestCheckpointCovers(t *testing.T) {
	c := Checkpoint{Size: 10, Time: epoch}
	for _, x := range []struct {
		size  uint64
		until time.Time
		want  bool
	}{
		{10, time.Time{}, true}, {11, time.Time{}, false}, {10, epoch, true}, {3, epoch.Add(1), false}, {3, epoch.Add(-1), true},
	} {
		if got := c.Covers(x.size, x.until); got != x.want {
			t.Errorf("covers %d until %s: %v", x.size, x.until, got)
		}
	}
}

func TestSignerTexts(t *testing.T) {
	private, public, err := NewSigner("mail.example.com/audit")
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenSigner(private)
	if err != nil || s.PublicKey() != public || s.Name() != "mail.example.com/audit" {
		t.Errorf("%v: %s, want %s", err, s.PublicKey(), public)
	}
	for _, name := range []string{"", "with space", "with+plus"} {
		if _, _, err := NewSigner(name); err == nil {
			t.Errorf("%q became the name of a key", name)
		}
	}
	_, err = OpenSigner(private[:len(private)-3])
	if err == nil || strings.Contains(err.Error(), private[20:40]) {
		t.Errorf("a damaged private key: %v", err)
	}
	if _, err := OpenVerifier("nonsense"); err == nil {
		t.Error("a text that is no key became one")
	}
}

func FuzzReadNote(f *testing.F) {
	l := aDay(f, 3)
	f.Add(l.notes[0])
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := readNote(text, nil)
		if err == nil && !strings.HasPrefix(text, c.text()) {
			t.Errorf("%q reads as %q", text, c.text())
		}
	})
}
