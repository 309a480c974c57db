package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrNoRootKey says that there is no root key where it was looked for. The
// error that wraps it names the places.
var ErrNoRootKey = errors.New("no root key")

// WrongKeyError says that a root key was given, but not the one wanted.
type WrongKeyError struct {
	Want, Have string // key ids
}

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("root key %s is needed, but %s was given: use the key file that names %s in its first line", e.Want, e.Have, e.Want)
}

// KeyFileError says why the file of a root key was refused. It never holds a
// part of the key.
type KeyFileError struct {
	Path   string // empty when the text did not come from a file
	Reason string // what is wrong, and what to do
}

func (e *KeyFileError) Error() string {
	if e.Path == "" {
		return "root key: " + e.Reason
	}
	return "root key " + e.Path + ": " + e.Reason
}

// RootKey is the key at the top of the hierarchy, with a public name.
type RootKey struct {
	key Key
	id  string
}

// newRootKey names a key.
func newRootKey(k Key) *RootKey {
	return &RootKey{key: k, id: "rk-" + hex.EncodeToString(k.expand(labelRootID, 6))}
}

// ID is the public name of the key, "rk-" and 12 hexadecimal digits. It is
// derived from the key, tells nothing of it, and may stand in logs, events
// and the database.
func (r *RootKey) ID() string { return r.id }

// Key is the key itself, which wraps organization keys, the instance's index
// key and the signing key.
func (r *RootKey) Key() Key { return r.key }

// Check returns nil when the key has the id want, and a *WrongKeyError
// otherwise.
func (r *RootKey) Check(want string) error {
	if r.id == want {
		return nil
	}
	return &WrongKeyError{Want: want, Have: r.id}
}

// The file of a root key is text of three lines:
//
//	postern root key v1 rk-0123456789ab
//	<the key, 32 bytes in base64>
//	sum <the first four bytes of the SHA-256 of the two lines, in hexadecimal>
const (
	rootKeyHeader = "postern root key v1 "
	rootKeySum    = "sum "
	maxKeyFile    = 4 << 10
)

// text is the content of the key's file.
func (r *RootKey) text() []byte {
	body := rootKeyHeader + r.id + "\n" + base64.StdEncoding.EncodeToString(r.key.state.secret[:]) + "\n"
	return []byte(body + rootKeySum + checksum(body) + "\n")
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// ParseRootKey reads the text of a root key's file. Blank lines, spaces
// around a line and the line ends of another system do not matter; every other
// deviation is a *KeyFileError that names it.
func ParseRootKey(text []byte) (*RootKey, error) {
	refuse := func(format string, args ...any) (*RootKey, error) {
		return nil, &KeyFileError{Reason: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxKeyFile {
		return refuse("this is no root key, it is too long")
	}
	var lines []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	if len(lines) == 0 {
		return refuse("it is empty: put a copy of the key there, or remove the file if it never held one")
	}
	id, ok := strings.CutPrefix(lines[0], rootKeyHeader)
	if !ok {
		return refuse("the first line does not begin with %q: this is no root key, or one of a newer release", rootKeyHeader)
	}
	if len(lines) != 3 {
		return refuse("there are %d lines where three belong: the copy is incomplete or something was added", len(lines))
	}
	sum, ok := strings.CutPrefix(lines[2], rootKeySum)
	if !ok {
		return refuse("the third line does not begin with %q", rootKeySum)
	}
	r := decodeRootKey(lines[1])
	fits := strings.EqualFold(sum, checksum(lines[0]+"\n"+lines[1]+"\n"))
	switch {
	case fits && r != nil && r.id == id:
		return r, nil
	case fits:
		return refuse("the second line is not the key that the first one names: the text was not written by Postern")
	case r != nil && r.id == id:
		return refuse("a character of the third line was mistyped or lost: the key fits its id, but not the checksum")
	case r != nil && strings.EqualFold(sum, checksum(rootKeyHeader+r.id+"\n"+lines[1]+"\n")):
		return refuse("a character of the first line was mistyped: the key's id is %s", r.id)
	}
	return refuse("a character of the second line was mistyped or lost: compare it with another copy of the key")
}

// decodeRootKey reads the line of the key itself; nil when it is none.
func decodeRootKey(line string) *RootKey {
	secret, err := base64.StdEncoding.Strict().DecodeString(line)
	if err != nil || len(secret) != KeySize {
		return nil
	}
	return newRootKey(keyFrom((*[KeySize]byte)(secret)))
}
