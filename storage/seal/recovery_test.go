package seal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestRecoveryKey: what a person typed off paper opens the root key, and a typing
// error is told from another key.
func TestRecoveryKey(t *testing.T) {
	root := newRootKey(NewKey())
	made := NewRecoveryKey()
	wrapped := made.Wrap(root)
	typed := strings.ToLower(strings.ReplaceAll(made.Text(), "-", " "))
	typed = strings.NewReplacer("0", "o", "1", "l").Replace(typed)
	read, err := ParseRecoveryKey(typed)
	if err != nil {
		t.Fatalf("%q: %v", typed, err)
	}
	opened, err := read.Unwrap(wrapped)
	if err != nil || opened.ID() != root.ID() {
		t.Fatalf("opened %v, %v", opened, err)
	}
	if _, err := NewRecoveryKey().Unwrap(wrapped); !errors.Is(err, ErrOpen) {
		t.Errorf("another key: %v", err)
	}
	if !strings.HasSuffix(made.Text(), "-"+made.Tail()) || len(made.Tail()) != 4 || read.ID() != made.ID() {
		t.Errorf("tail %q, id %q", made.Tail(), made.ID())
	}
	if got := fmt.Sprintf("%v %+v %s", made, made, made); strings.Contains(got, made.Text()) {
		t.Error("printing shows it")
	}
}

// TestRecoveryKeyMistyped: one changed character anywhere is noticed before anything
// is tried.
func TestRecoveryKeyMistyped(t *testing.T) {
	text := strings.ReplaceAll(NewRecoveryKey().Text(), "-", "")
	for i := range text {
		other := byte('0')
		if text[i] == '0' {
			other = '7'
		}
		wrong := text[:i] + string(other) + text[i+1:]
		if _, err := ParseRecoveryKey(wrong); !errors.Is(err, ErrRecoveryKey) {
			t.Errorf("character %d: %v", i, err)
		}
	}
	for _, wrong := range []string{"", text[:35], text + "0", strings.Repeat("0", 400), text[:35] + "U", text[:35] + "é"} {
		if _, err := ParseRecoveryKey(wrong); !errors.Is(err, ErrRecoveryKey) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestRecoveryVector fixes the format: a key on paper must open what a later release
// finds.
func TestRecoveryVector(t *testing.T) {
	key := recoveryKey("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
	const want = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ-45X6 rc-459be9c68655"
	if got := key.Text() + " " + key.ID(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseRecoveryKey(f *testing.F) {
	f.Add(recoveryKey("0123456789ABCDEFGHJKMNPQRSTVWXYZ").Text())
	f.Add("olil-")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseRecoveryKey(text)
		if err != nil {
			return
		}
		again, err := ParseRecoveryKey(key.Text())
		if err != nil || again.ID() != key.ID() {
			t.Errorf("%q is read as %q, and that not as the same", text, key.Text())
		}
	})
}
