package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// RecoveryKey opens a wrapped copy of the root key. It is made to be kept on paper: 36
// characters in nine groups of four, of an alphabet without letters that look like
// digits. 160 bits are random, the last four characters are a checksum over them, so
// that a typing error is named before anything is tried.
type RecoveryKey struct {
	key  Key
	text string
}

const (
	recoveryRandom = 20 // bytes, 32 characters
	recoverySum    = 4  // characters
	recoveryGroup  = 4
	labelRecovery  = "postern seal v1 recovery"
	labelRecoverID = "postern seal v1 recovery id"
)

// recoveryAlphabet is Crockford's base 32: digits and letters without I, L, O, U.
var recoveryAlphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// ErrRecoveryKey says that a text is no recovery key. The error that wraps it says why.
var ErrRecoveryKey = errors.New("this is no recovery key")

// NewRecoveryKey makes a random one.
func NewRecoveryKey() RecoveryKey {
	secret := make([]byte, recoveryRandom)
	rand.Read(secret)
	return recoveryKey(recoveryAlphabet.EncodeToString(secret))
}

func recoveryKey(body string) RecoveryKey {
	secret, err := hkdf.Key(sha256.New, []byte(body), nil, labelRecovery, KeySize)
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	return RecoveryKey{key: keyFrom((*[KeySize]byte)(secret)), text: body + recoveryChecksum(body)}
}

func recoveryChecksum(body string) string {
	sum := sha256.Sum256([]byte(labelRecovery + body))
	return recoveryAlphabet.EncodeToString(sum[:])[:recoverySum]
}

// ParseRecoveryKey reads what a person typed: in any case, with or without hyphens and
// spaces, and with letters for the digits that they look like. Errors are
// ErrRecoveryKey.
func ParseRecoveryKey(text string) (RecoveryKey, error) {
	if len(text) > 256 {
		return RecoveryKey{}, fmt.Errorf("%w: it is too long", ErrRecoveryKey)
	}
	text = strings.ToUpper(text)
	text = strings.NewReplacer(" ", "", "-", "", "\t", "", "\r", "", "\n", "", "O", "0", "I", "1", "L", "1").Replace(text)
	const length = recoveryRandom*8/5 + recoverySum
	if len(text) != length {
		return RecoveryKey{}, fmt.Errorf("%w: it has %d characters, and %d belong", ErrRecoveryKey, len(text), length)
	}
	body, sum := text[:length-recoverySum], text[length-recoverySum:]
	if _, err := recoveryAlphabet.DecodeString(body); err != nil {
		return RecoveryKey{}, fmt.Errorf("%w: a character of it is none of 0-9 and A-Z without U", ErrRecoveryKey)
	}
	if recoveryChecksum(body) != sum {
		return RecoveryKey{}, fmt.Errorf("%w: a character of it was mistyped", ErrRecoveryKey)
	}
	return recoveryKey(body), nil
}

// Text is the key as it is shown once: groups of four with hyphens.
func (r RecoveryKey) Text() string {
	var groups []string
	for rest := r.text; rest != ""; rest = rest[recoveryGroup:] {
		groups = append(groups, rest[:recoveryGroup])
	}
	return strings.Join(groups, "-")
}

// Tail is its last four characters.
func (r RecoveryKey) Tail() string { return r.text[len(r.text)-recoverySum:] }

// ID is the public name of the key, "rc-" and 12 hexadecimal digits.
func (r RecoveryKey) ID() string { return "rc-" + hex.EncodeToString(r.key.expand(labelRecoverID, 6)) }

// String hides the key from logs.
func (r RecoveryKey) String() string { return r.ID() }

// recoveryIdentity is what the wrapped copy of a root key is.
func recoveryIdentity() Identity {
	return Identity{Table: "recovery", ID: []byte("root"), Purpose: "recovery"}
}

// Wrap seals the root key for this key.
func (r RecoveryKey) Wrap(root *RootKey) []byte { return r.key.Wrap(root.key, recoveryIdentity()) }

// Unwrap opens what Wrap returned; ErrOpen when it was for another key.
func (r RecoveryKey) Unwrap(wrapped []byte) (*RootKey, error) {
	key, err := r.key.Unwrap(wrapped, recoveryIdentity())
	if err != nil {
		return nil, err
	}
	return newRootKey(key), nil
}
