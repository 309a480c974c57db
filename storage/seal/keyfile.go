package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

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
	if err := r.Save(path); err != nil {
		return nil, err
	}
	return r, nil
}

// Save writes the key to a new file, as CreateRootKey does: for one that was opened
// with a recovery key.
func (r *RootKey) Save(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
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
	}
	return err
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
