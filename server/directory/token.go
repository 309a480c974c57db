package directory

import (
	"crypto/rand"
	"errors"
	"hash/crc32"
	"strings"

	"postern/storage"
)

// The form of a token: a prefix that secret scanners can find, 32 random
// characters (190 bits), and a checksum that tells a typing error from a guess.
const (
	livePrefix   = "pst_live_"
	testPrefix   = "pst_test_"
	randomLength = 32
	sumLength    = 6
	publicLength = 8
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ErrToken: the text is no token, or was mistyped.
var ErrToken = errors.New("directory: not a token")

// Token is a credential's secret. It is shown once and never stored.
type Token struct {
	text string
	env  storage.Environment
}

// NewToken makes a token of an environment.
func NewToken(env storage.Environment) Token {
	text := livePrefix
	if env == storage.Test {
		text = testPrefix
	}
	text += randomBase62(randomLength)
	return Token{text: text + checksum(text), env: env}
}

// ParseToken reads a token and checks its sum; ErrToken.
func ParseToken(text string) (Token, error) {
	env, ok := storage.Live, strings.HasPrefix(text, livePrefix)
	if !ok {
		env, ok = storage.Test, strings.HasPrefix(text, testPrefix)
	}
	const length = len(livePrefix) + randomLength + sumLength
	if !ok || len(text) != length || strings.Trim(text[len(livePrefix):], base62) != "" {
		return Token{}, ErrToken
	}
	body, sum := text[:length-sumLength], text[length-sumLength:]
	if checksum(body) != sum {
		return Token{}, ErrToken
	}
	return Token{text: text, env: env}, nil
}

// Secret is the token itself, for the one who is to use it.
func (t Token) Secret() string { return t.text }

// Environment is what the prefix says.
func (t Token) Environment() storage.Environment { return t.env }

// PublicID is the part that names the token in listings.
func (t Token) PublicID() string {
	return t.text[len(livePrefix) : len(livePrefix)+publicLength]
}

// String hides the secret, so that a token printed by mistake tells nothing.
func (t Token) String() string { return "token " + t.PublicID() }

// checksum is CRC-32 (IEEE) in base62, most significant digit first.
func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	var b [sumLength]byte
	for i := sumLength - 1; i >= 0; i-- {
		b[i] = base62[sum%62]
		sum /= 62
	}
	return string(b[:])
}

// randomBase62 draws uniformly: bytes from 248 up would favour the first digits
// and are thrown away.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	var buf [48]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, c := range buf {
			if c < 248 && len(out) < n {
				out = append(out, base62[c%62])
			}
		}
	}
	return string(out)
}
