package directory

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"postern/storage"
)

// Bounds of a password, in bytes after normalisation.
const (
	MinPassword = 12
	MaxPassword = 128
)

// argon2id (RFC 9106) with 46 MiB, two passes and one lane: more than the least
// that OWASP names for that memory, and 82 ms on a core of the machine that it
// was measured on (19 MiB and two passes: 40 ms; the RFC's 64 MiB, three passes
// and four lanes: 114 ms on two cores). Two at a time, so that logins take 92 MiB
// and no more, however many knock.
const (
	argonTime    = 2
	argonMemory  = 46 << 10 // KiB
	argonThreads = 1
	argonAtOnce  = 2
	saltSize     = 16
	hashSize     = 32
)

// passwords hashes, a few at a time.
type passwords struct{ turns chan struct{} }

func newPasswords() passwords { return passwords{make(chan struct{}, argonAtOnce)} }

// derive is the hash of a normalised password by a record's parameters.
func (h passwords) derive(ctx context.Context, p storage.Password, text string) ([]byte, error) {
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.turns }()
	if ctx.Err() != nil { // both were possible
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(text), p.Salt, p.Time, p.Memory, p.Threads, hashSize), nil
}

// hash makes the record of a new password.
func (h passwords) hash(ctx context.Context, text string) (*storage.Password, error) {
	p := storage.Password{Salt: make([]byte, saltSize), Time: argonTime, Memory: argonMemory, Threads: argonThreads}
	rand.Read(p.Salt)
	var err error
	p.Hash, err = h.derive(ctx, p, text)
	return &p, err
}

// nobody is compared with where there is no password: the same work, and never
// right.
var nobody = storage.Password{Salt: make([]byte, saltSize), Time: argonTime, Memory: argonMemory, Threads: argonThreads}

// right reports whether a text is the password. It takes as long for a record
// that is not there.
func (h passwords) right(ctx context.Context, p *storage.Password, text string) (bool, error) {
	if p == nil {
		p = &nobody
	}
	have, err := h.derive(ctx, *p, text)
	return err == nil && subtle.ConstantTimeCompare(have, p.Hash) == 1, err
}

// normalPassword is a password in the one form in which it is hashed: NFC, since
// keyboards differ in how they write the same letter (RFC 8265, section 4.2).
func normalPassword(text string) string {
	if len(text) > 4*MaxPassword {
		text = text[:4*MaxPassword] // too long in any form
	}
	return norm.NFC.String(text)
}

// checkPassword holds a new password to its bounds. Length is what counts;
// classes of characters are not asked for.
func checkPassword(text, address string) (string, error) {
	text = normalPassword(text)
	switch {
	case !utf8.ValidString(text):
		return "", fmt.Errorf("%w: a password is text in UTF-8", ErrInvalid)
	case len(text) < MinPassword || len(text) > MaxPassword:
		return "", fmt.Errorf("%w: a password has %d to %d bytes", ErrInvalid, MinPassword, MaxPassword)
	case strings.EqualFold(text, address):
		return "", fmt.Errorf("%w: a password is not the address", ErrInvalid)
	}
	return text, nil
}
