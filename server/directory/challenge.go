package directory

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// challengeLife is how long a person has to answer with a passkey, and maxAnswered
// how many answers are remembered meanwhile; beyond that nobody is let in by one.
const (
	challengeLife = 5 * time.Minute
	maxAnswered   = 1 << 14
)

const (
	nonceSize     = 16
	challengeSize = nonceSize + 8 + sha256.Size
)

// challenges are what authenticators are asked to sign (WebAuthn, section 13.4.3).
// Each says by itself, under a key of this process, what it is for, to whom it was
// given and until when it can be answered, so that nothing is kept of those that
// strangers ask for and never answer. What was answered is remembered for as long as
// it could be answered again: an answer works once. // AC-15
type challenges struct {
	key      [32]byte
	mu       sync.Mutex
	answered map[[nonceSize]byte]time.Time
}

func newChallenges() *challenges {
	c := &challenges{answered: map[[nonceSize]byte]time.Time{}}
	rand.Read(c.key[:])
	return c
}

// make gives a challenge for a purpose to who is bound by a text: their session, or
// what their browser alone was given.
func (c *challenges) make(purpose, bind string, now time.Time) []byte {
	text := make([]byte, nonceSize, challengeSize)
	rand.Read(text)
	text = binary.BigEndian.AppendUint64(text, uint64(now.Add(challengeLife).UnixMicro()))
	return append(text, c.mac(text, purpose, bind)...)
}

func (c *challenges) mac(text []byte, purpose, bind string) []byte {
	h := hmac.New(sha256.New, c.key[:])
	h.Write(text)
	h.Write([]byte(purpose + "\x00" + bind))
	return h.Sum(nil)
}

// take uses a challenge up, and returns the rule by which its answer is refused;
// empty when it is not.
func (c *challenges) take(challenge []byte, purpose, bind string, now time.Time) (rule string) {
	if len(challenge) != challengeSize || bind == "" {
		return "challenge"
	}
	text := challenge[:nonceSize+8]
	if !hmac.Equal(challenge[len(text):], c.mac(text, purpose, bind)) {
		return "challenge"
	}
	ends := time.UnixMicro(int64(binary.BigEndian.Uint64(text[nonceSize:])))
	if !now.Before(ends) {
		return "challenge-old"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	nonce := [nonceSize]byte(text)
	if _, again := c.answered[nonce]; again {
		return "challenge-used"
	}
	if len(c.answered) >= maxAnswered {
		for n, end := range c.answered {
			if !now.Before(end) {
				delete(c.answered, n)
			}
		}
		if len(c.answered) >= maxAnswered {
			return "challenge-busy"
		}
	}
	c.answered[nonce] = ends
	return ""
}
