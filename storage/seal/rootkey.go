package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
		return refuse("the file is empty")
	}
	id, ok := strings.CutPrefix(lines[0], rootKeyHeader)
	if !ok {
		return refuse("the first line is not %q and an id: this is no root key, or one of a newer release", rootKeyHeader)
	}
	if len(lines) != 3 {
		return refuse("there are %d lines where three belong: the copy is incomplete or something was added", len(lines))
	}
	sum, ok := strings.CutPrefix(lines[2], rootKeySum)
	if !ok {
		return refuse("the third line is not %q and a checksum", rootKeySum)
	}
	if !strings.EqualFold(sum, checksum(lines[0]+"\n"+lines[1]+"\n")) {
		return refuse("the checksum does not fit: a character was mistyped or lost; compare it with another copy of the key")
	}
	secret, err := base64.StdEncoding.Strict().DecodeString(lines[1])
	if err != nil || len(secret) != KeySize {
		return refuse("the second line is not a key of %d bytes in base64", KeySize)
	}
	r := newRootKey(keyFrom(secret))
	clear(secret)
	if r.id != id {
		return refuse("the first line names the key %s, but the key is %s", id, r.id)
	}
	return r, nil
}

// credentialsDirectory is where systemd (LoadCredential=), or a container's
// operator, hands secrets over; empty when there is none.
func credentialsDirectory() string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Clean(dir)
}

// isCredential reports whether path lies below the credentials directory.
func isCredential(path string) bool {
	dir := credentialsDirectory()
	abs, err := filepath.Abs(path)
	if dir == "" || err != nil {
		return false
	}
	rel, err := filepath.Rel(dir, abs)
	return err == nil && filepath.IsLocal(rel)
}

// LoadRootKey reads the root key from a file. A missing file is an
// ErrNoRootKey, a bad one a *KeyFileError. The file must be readable to its
// owner alone, except below $CREDENTIALS_DIRECTORY, whose mode is the affair
// of systemd (it shows an access list as group rights) or of the container.
func LoadRootKey(path string) (*RootKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing("", path)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of the open file, so that it cannot be exchanged
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &KeyFileError{path, "not a regular file"}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && !isCredential(path) {
		return nil, &KeyFileError{path, fmt.Sprintf("mode %04o lets others than its owner at it: chmod 600 the file, and exchange the key if somebody may have read it", mode)}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	r, err := ParseRootKey(text)
	clear(text)
	if e := (*KeyFileError)(nil); errors.As(err, &e) {
		e.Path = path
	}
	return r, err
}

// CreateRootKey makes a new root key in a new file, which only its owner may
// read, and returns when file and folder are on disk. A file that exists is
// left alone and gives an error that is fs.ErrExist.
func CreateRootKey(path string) (*RootKey, error) {
	r := newRootKey(NewKey())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	text := r.text()
	defer clear(text)
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path) // ours: half a key is worse than none
		return nil, err
	}
	return r, nil
}

// syncDirectory makes the entries of a folder durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// FindRootKey says where the root key is: the file that POSTERN_ROOT_KEY_FILE
// names, else the configured one, else root.key in $CREDENTIALS_DIRECTORY. The
// first that is named counts: when it is missing there, no other place is
// tried, since a database would be sealed under a key that nobody chose. The
// error is then an ErrNoRootKey.
func FindRootKey(configured string) (path string, err error) {
	dir := credentialsDirectory()
	var source string
	switch {
	case os.Getenv("POSTERN_ROOT_KEY_FILE") != "":
		source, path = "POSTERN_ROOT_KEY_FILE", os.Getenv("POSTERN_ROOT_KEY_FILE")
	case configured != "":
		source, path = "the configuration", configured
	case dir != "":
		source, path = "CREDENTIALS_DIRECTORY", filepath.Join(dir, "root.key")
	default:
		return "", fmt.Errorf("%w: neither POSTERN_ROOT_KEY_FILE, the configuration nor CREDENTIALS_DIRECTORY names one", ErrNoRootKey)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", missing(source, path)
	}
	return path, nil
}

// missing is the error for a root key's file that does not exist.
func missing(source, path string) error {
	if source != "" {
		source = ", which " + source + " names,"
	}
	return fmt.Errorf("%w: the file %s%s does not exist; put the key there, or, for a new installation, run: postern key init", ErrNoRootKey, path, source)
}
