package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// testKey is the key 000102...1f of the vectors.
func testKey() Key {
	secret := new([KeySize]byte)
	for i := range secret {
		secret[i] = byte(i)
	}
	return keyFrom(secret)
}

// testIdentity is the identity of the vectors.
func testIdentity() Identity {
	return Identity{
		Org:     uuid.MustParse("0197a2c4-5d1e-7a00-8000-000000000001"),
		Event:   uuid.MustParse("0197a2c4-5d1e-7a00-8000-000000000002"),
		Table:   "message",
		ID:      []byte{0, 0, 0, 42},
		Purpose: "body",
		Version: 7,
	}
}

// otherIdentities are testIdentity with one thing different each.
func otherIdentities() map[string]Identity {
	other := map[string]Identity{}
	change := func(name string, f func(*Identity)) {
		id := testIdentity()
		f(&id)
		other[name] = id
	}
	change("organization", func(id *Identity) { id.Org[15]++ })
	change("no organization", func(id *Identity) { id.Org = uuid.Nil })
	change("event", func(id *Identity) { id.Event[15]++ })
	change("table", func(id *Identity) { id.Table = "outgoing" })
	change("id", func(id *Identity) { id.ID = []byte{0, 0, 0, 43} })
	change("no id", func(id *Identity) { id.ID = nil })
	change("purpose", func(id *Identity) { id.Purpose = "envelope" })
	change("older version", func(id *Identity) { id.Version-- })
	change("organization and event exchanged", func(id *Identity) { id.Org, id.Event = id.Event, id.Org })
	change("table and purpose exchanged", func(id *Identity) { id.Table, id.Purpose = id.Purpose, id.Table })
	change("border between table and purpose moved", func(id *Identity) { id.Table, id.Purpose = "messageb", "ody" })
	change("border between purpose and id moved", func(id *Identity) { id.Purpose, id.ID = "body\x00", []byte{0, 0, 42} })
	return other
}

// Invariant 9: a record opens under its key and identity.
func TestOpenReturnsWhatWasSealed(t *testing.T) {
	k, id := NewKey(), testIdentity()
	for _, n := range []int{0, 1, 200, 100_000} {
		text := noise(n)
		sealed := k.Seal(text, id)
		if len(sealed) != n+Overhead {
			t.Errorf("%d bytes sealed to %d, want %d more", n, len(sealed), Overhead)
		}
		got, err := k.Open(sealed, id)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("Open of %d bytes: %v", n, err)
		}
		if bytes.Equal(sealed, k.Seal(text, id)) {
			t.Errorf("%d bytes sealed twice are the same", n)
		}
	}
}

// Invariant 9: a record that was moved or brought back does not open.
func TestOpenRefusesAnotherIdentity(t *testing.T) {
	k := NewKey()
	record := k.Seal([]byte("scope: everything"), testIdentity())
	wrapped := k.Wrap(NewKey(), testIdentity())
	for name, id := range otherIdentities() {
		if got, err := k.Open(record, id); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%s: Open = %q, %v", name, got, err)
		}
		if got, err := k.Unwrap(wrapped, id); !errors.Is(err, ErrOpen) || !got.IsZero() {
			t.Errorf("%s: Unwrap gives a key, %v", name, err)
		}
	}
}

// Invariant 9: a record that was changed anywhere does not open.
func TestOpenRefusesEveryChange(t *testing.T) {
	k, id := NewKey(), testIdentity()
	sealed := k.Seal([]byte("limit: 10"), id)
	for i := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[i/8] ^= 1 << (i % 8)
		if _, err := k.Open(changed, id); !errors.Is(err, ErrOpen) {
			t.Fatalf("with bit %d changed: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := k.Open(sealed[:n], id); !errors.Is(err, ErrOpen) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := k.Open(append(bytes.Clone(sealed), 0), id); !errors.Is(err, ErrOpen) {
		t.Errorf("with a byte more: %v", err)
	}
	if _, err := NewKey().Open(sealed, id); !errors.Is(err, ErrOpen) {
		t.Errorf("under another key: %v", err)
	}
}

func TestUnwrapReturnsTheSameKey(t *testing.T) {
	outer, inner, id := NewKey(), NewKey(), testIdentity()
	wrapped := outer.Wrap(inner, id)
	if len(wrapped) != WrappedSize {
		t.Errorf("wrapped key of %d bytes, want %d", len(wrapped), WrappedSize)
	}
	got, err := outer.Unwrap(wrapped, id)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := got.Open(inner.Seal([]byte("text"), id), id); err != nil || string(text) != "text" {
		t.Errorf("the unwrapped key opens %q, %v", text, err)
	}
}

// A wrapped key must not come out as a record, where it could be shown, nor a
// record with a stranger's bytes be taken for a key, nor either for a body.
func TestKindsDoNotMix(t *testing.T) {
	k, id := NewKey(), testIdentity()
	wrapped := k.Wrap(NewKey(), id)
	if _, err := k.Open(wrapped, id); !errors.Is(err, ErrOpen) {
		t.Errorf("a wrapped key opens as a record: %v", err)
	}
	record := k.Seal(make([]byte, KeySize), id)
	if _, err := k.Unwrap(record, id); !errors.Is(err, ErrOpen) {
		t.Errorf("a record unwraps as a key: %v", err)
	}
	body := sealBody(t, []byte("text"), k, id)
	if _, err := k.Open(body, id); !errors.Is(err, ErrOpen) {
		t.Errorf("a body opens as a record: %v", err)
	}
	for _, sealed := range [][]byte{wrapped, record} {
		if _, err := OpenBody(bytes.NewReader(sealed), int64(len(sealed)), k, id); !errors.Is(err, ErrOpen) {
			t.Errorf("opens as a body: %v", err)
		}
	}
}

// The values were computed with OpenSSL 3.0: kdf HKDF in mode EXPAND_ONLY with
// key 000102...1f and the labels of key.go, and mac HMAC under the hash key.
func TestDerivedValues(t *testing.T) {
	k := testKey()
	derived := k.Derive("metadata")
	for _, c := range []struct{ name, got, want string }{
		{"sub-key", hex.EncodeToString(derived.state.secret[:]), "fe9f3dd9129a3e958df02d38df62e919f2b78dcf89df8ec001c1649d971d4af8"},
		{"hash", hex.EncodeToString(k.Hash("address", []byte("example.com"), []byte("support"))), "7df8b0bcf7a5e77a5f111f8b343e284573ca96d5fbf22a175f944cbf0c8a0bc2"},
		{"root id", newRootKey(k).ID(), "rk-16909fe7c8b6"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestDeriveSeparatesPurposes(t *testing.T) {
	k, id := NewKey(), testIdentity()
	sealed := k.Derive("metadata").Seal([]byte("text"), id)
	if _, err := k.Derive("metadata").Open(sealed, id); err != nil {
		t.Errorf("derived again: %v", err)
	}
	for name, other := range map[string]Key{"another purpose": k.Derive("lookup"), "no purpose": k.Derive(""), "the key itself": k} {
		if _, err := other.Open(sealed, id); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHashTellsListsOfPartsApart(t *testing.T) {
	k := NewKey()
	seen := map[string]string{}
	for _, c := range [][]string{
		{"address"}, {"address", ""}, {"address", "", ""}, {"address", "ab"}, {"address", "a", "b"},
		{"address", "ab", ""}, {"address", "", "ab"}, {"address\x00", "ab"}, {"addressa", "b"}, {"", "addressab"},
		{"address", strings.Repeat("long ", 100_000)},
	} {
		var parts [][]byte
		for _, p := range c[1:] {
			parts = append(parts, []byte(p))
		}
		h := string(k.Hash(c[0], parts...))
		if h != string(k.Hash(c[0], parts...)) {
			t.Errorf("%.40q is not hashed the same twice", c)
		}
		if before, ok := seen[h]; ok {
			t.Errorf("%.40q and %s have the same hash", c, before)
		}
		seen[h] = fmt.Sprintf("%.40q", c)
	}
	if bytes.Equal(k.Hash("address", nil), NewKey().Hash("address", nil)) {
		t.Error("two keys give the same hash")
	}
}

// A log line or a JSON answer that holds a key by mistake does not show it.
func TestKeysDoNotPrint(t *testing.T) {
	k := testKey()
	root := newRootKey(k)
	holder := struct {
		Key  Key
		Root *RootKey
	}{k, root}
	var printed []string
	for _, v := range []any{k, &k, root, *root, holder, &holder} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, string(text))
	}
	secret := k.state.secret[:]
	for _, shape := range []string{string(secret[:8]), hex.EncodeToString(secret[:8]), "0 1 2 3 4 5", "0x0, 0x1, 0x2", "AAECAwQF"} {
		if i := slices.IndexFunc(printed, func(p string) bool { return strings.Contains(p, shape) }); i >= 0 {
			t.Errorf("a key shows in %q", printed[i])
		}
	}
}

func TestZeroKey(t *testing.T) {
	var zero Key
	id := testIdentity()
	if _, err := zero.Open(NewKey().Seal(nil, id), id); !errors.Is(err, ErrOpen) {
		t.Errorf("Open: %v", err)
	}
	if _, err := zero.Unwrap(NewKey().Wrap(NewKey(), id), id); !errors.Is(err, ErrOpen) {
		t.Errorf("Unwrap: %v", err)
	}
	if _, err := OpenBody(bytes.NewReader(make([]byte, 100)), 100, zero, id); !errors.Is(err, ErrOpen) {
		t.Errorf("OpenBody: %v", err)
	}
	for name, f := range map[string]func(){
		"Seal":          func() { zero.Seal(nil, id) },
		"Wrap by it":    func() { zero.Wrap(NewKey(), id) },
		"Wrap of it":    func() { NewKey().Wrap(zero, id) },
		"Derive":        func() { zero.Derive("purpose") },
		"Hash":          func() { zero.Hash("purpose") },
		"NewBodyWriter": func() { NewBodyWriter(&bytes.Buffer{}, zero, id) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s with the zero Key goes on", name)
				}
			}()
			f()
		}()
	}
}

// A key is shared by all sessions of an inbox; run with -race.
func TestKeyServesManyGoroutines(t *testing.T) {
	k, id := NewKey(), testIdentity()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				text := mailText(100 * i)
				if got, err := k.Open(k.Seal(text, id), id); err != nil || !bytes.Equal(got, text) {
					t.Errorf("Open: %v", err)
				}
				k.Hash("address", text)
				sealed := sealBody(t, text, k, id)
				if got, err := readBody(sealed, k, id); err != nil || !bytes.Equal(got, text) {
					t.Errorf("body: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
