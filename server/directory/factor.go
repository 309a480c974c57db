package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"postern/storage"
)

// TOTP (RFC 6238) as every authenticator knows it: SHA-1, six digits, 30
// seconds. A clock may be one step off, either way.
const (
	totpPeriod = 30 // seconds
	totpDrift  = 1  // steps
	totpSecret = 20 // bytes: RFC 4226, section 4, R6
	issuer     = "Postern"
)

var totpOptions = totp.ValidateOpts{Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// Recovery codes stand in for a lost authenticator, each once: ten of 50 bits.
const (
	recoveryCodes  = 10
	recoveryLength = 10
	recoveryHalf   = recoveryLength / 2
)

const base32Lower = "abcdefghijklmnopqrstuvwxyz234567"

// Factor is a new second factor. It is shown this once.
type Factor struct {
	Secret   string   // for typing: base32 (RFC 4648)
	URI      string   // for a QR code: otpauth://
	Recovery []string // codes as xxxxx-xxxxx
}

// newFactor gives a person a new second factor; the old one is gone.
func (d *Directory) newFactor(p *storage.Person) (*Factor, error) {
	p.TOTP, p.Step, p.Recovery = make([]byte, totpSecret), 0, nil
	rand.Read(p.TOTP)
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: p.Address, Period: totpPeriod, Secret: p.TOTP})
	if err != nil {
		return nil, err
	}
	return &Factor{Secret: key.Secret(), URI: key.URL(), Recovery: d.newRecovery(p)}, nil
}

// newRecovery gives a person new recovery codes; the old ones are gone.
func (d *Directory) newRecovery(p *storage.Person) (codes []string) {
	p.Recovery = nil
	for range recoveryCodes {
		code := newRecoveryCode()
		p.Recovery = append(p.Recovery, d.store.HashRecovery(p.ID, code))
		codes = append(codes, code[:recoveryHalf]+"-"+code[recoveryHalf:])
	}
	return codes
}

func newRecoveryCode() string {
	var b [recoveryLength]byte
	rand.Read(b[:])
	for i, c := range b {
		b[i] = base32Lower[c%32] // 32 divides 256: uniform
	}
	return string(b[:])
}

// plainCode is a code as it is compared: without the spaces and hyphens that
// make it readable.
func plainCode(code string) string {
	if len(code) > 64 {
		return ""
	}
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(code))
}

// useCode takes a code from a person: one of this moment, or a recovery code.
// Each works once. It returns which factor that was, "none" where a person has no
// factor, or the rule by which it is refused. The work is the same for all.
func (d *Directory) useCode(p *storage.Person, id uuid.UUID, code string, now time.Time) (factor, rule string) {
	code = plainCode(code)
	step, known := matchStep(p.TOTP, code, now)
	spent := slices.IndexFunc(p.Recovery, func(hash []byte) bool {
		return subtle.ConstantTimeCompare(hash, d.store.HashRecovery(id, code)) == 1
	})
	switch {
	case len(p.TOTP) == 0 && (code == "" || len(p.Recovery) == 0):
		return noFactor, ""
	case known && len(p.TOTP) > 0 && step <= p.Step:
		return "", "code-used"
	case known && len(p.TOTP) > 0:
		p.Step = step
		return methodTOTP, ""
	case spent >= 0:
		p.Recovery = slices.Delete(slices.Clone(p.Recovery), spent, spent+1)
		return methodRecovery, ""
	}
	return "", "code"
}

// matchStep finds the newest time step near now whose code this is.
func matchStep(secret []byte, code string, now time.Time) (step int64, ok bool) {
	if len(secret) == 0 {
		secret = make([]byte, totpSecret)
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	at := now.Unix() / totpPeriod
	for s := at - totpDrift; s <= at+totpDrift; s++ {
		want, err := totp.GenerateCodeCustom(text, time.Unix(s*totpPeriod, 0), totpOptions)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}
