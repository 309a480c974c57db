package directory

import (
	"errors"
	"testing"

	"github.com/emersion/go-sasl"
)

// TestRFC7628_ClientResponses holds the two forms of a token as a bearer, with
// the example of the RFC's section 4.1.
func TestRFC7628_ClientResponses(t *testing.T) {
	for _, c := range []struct {
		mechanism, response string
		user, token         string
		ok                  bool
	}{
		{sasl.OAuthBearer, "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
			"user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", true},
		{sasl.OAuthBearer, "y,,\x01auth=bearer t\x01\x01", "", "t", true},
		{sasl.OAuthBearer, "n,a=a=3Db=2Cc,\x01auth=BEARER  t\x01future=x\x01\x01", "a=b,c", "t", true},
		{sasl.OAuthBearer, "p=tls-unique,,\x01auth=Bearer t\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,a=a=2c,\x01auth=Bearer t\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,a=,\x01auth=Bearer t\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,user,\x01auth=Bearer t\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,,\x01auth=Bearer t\x01", "", "", false},
		{sasl.OAuthBearer, "n,,\x01auth=Basic t\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,,\x01host=h\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,,\x01auth=Bearer t\x01auth=Bearer u\x01\x01", "", "", false},
		{sasl.OAuthBearer, "n,,\x01\x01", "", "", false},
		{sasl.OAuthBearer, "", "", "", false},
		{XOAuth2, "user=someuser@example.com\x01auth=Bearer ya29\x01\x01", "someuser@example.com", "ya29", true},
		{XOAuth2, "auth=Bearer ya29\x01\x01", "", "", false},
		{XOAuth2, "user=a\x01\x01", "", "", false},
	} {
		var user, token string
		x, ok := NewExchange(c.mechanism, func(l Claim) error { user, token = l.Login, l.Secret; return nil })
		if !ok {
			t.Fatalf("no mechanism %s", c.mechanism)
		}
		_, done, err := x.Next([]byte(c.response))
		if done != c.ok || user != c.user || token != c.token {
			t.Errorf("%s %q: %q, %q, done %v, %v", c.mechanism, c.response, user, token, done, err)
		}
	}
}

// TestExchangeEnds holds that an exchange that is over takes nothing more, and
// that a failure which may pass is told at once.
func TestExchangeEnds(t *testing.T) {
	for _, mechanism := range Mechanisms {
		x, _ := NewExchange(mechanism, func(Claim) error { return &AuthError{Class: ErrTooManyFailures} })
		response := map[string]string{
			sasl.Plain: "\x00a\x00b", sasl.Login: "a", sasl.OAuthBearer: "n,a=a,\x01auth=Bearer b\x01\x01", XOAuth2: "user=a\x01auth=Bearer b\x01\x01",
		}[mechanism]
		_, done, err := x.Next([]byte(response))
		if mechanism == sasl.Login {
			_, done, err = x.Next([]byte("b"))
		}
		if done || !errors.Is(err, ErrTooManyFailures) {
			t.Errorf("%s: %v, %v", mechanism, done, err)
		}
		if _, _, err := x.Next([]byte(response)); !errors.Is(err, ErrSASLOver) {
			t.Errorf("%s goes on: %v", mechanism, err)
		}
	}
	if _, ok := NewExchange("CRAM-MD5", nil); ok {
		t.Error("a mechanism that is not offered")
	}
}

// FuzzBearer holds that no response makes a token of what the client did not
// send as one, and that a name and a token come back as they were sent.
func FuzzBearer(f *testing.F) {
	f.Add("n,a=user@example.com,\x01host=h\x01auth=Bearer t\x01\x01")
	f.Add("user=a\x01auth=Bearer t\x01\x01")
	f.Add("n,a=a=3D=2C,\x01auth=Bearer \x01\x01")
	f.Fuzz(func(t *testing.T, text string) {
		for _, mechanism := range []string{sasl.OAuthBearer, XOAuth2} {
			logins := 0
			x, _ := NewExchange(mechanism, func(l Claim) error {
				if logins++; len(l.Login)+len(l.Secret) > len(text) {
					t.Errorf("%q became %q and %q", text, l.Login, l.Secret)
				}
				return nil
			})
			_, done, err := x.Next([]byte(text))
			if (logins == 1) != done || err != nil && logins > 0 {
				t.Errorf("%q: %d logins, done %v, %v", text, logins, done, err)
			}
		}
	})
}
