package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// XOAuth2 is the mechanism that came before OAUTHBEARER and that clients still
// have (developers.google.com/workspace/gmail/imap/xoauth2-protocol).
const XOAuth2 = "XOAUTH2"

// Mechanisms are what a door offers, in the order in which it names them: what
// clients without an SDK have. Each carries the token itself, so none works
// without TLS. // AC-10
var Mechanisms = []string{sasl.Plain, sasl.Login, sasl.OAuthBearer, XOAuth2}

// Faults of a SASL exchange that are not a failed login.
var (
	// ErrSASLForm: a response is not what its mechanism wants.
	ErrSASLForm = errors.New("directory: malformed SASL response")
	// ErrSASLOver: a response after the exchange was over.
	ErrSASLOver = errors.New("directory: the SASL exchange is over")
)

// Exchange is the server's side of one SASL authentication. It reads responses
// and writes challenges; whether the token opens anything is for the login
// function alone. It is a [sasl.Server].
type Exchange struct {
	mechanism string
	login     func(Claim) error
	next      func(response []byte) (challenge []byte, err error) // nil when the exchange is over
	user      string
	failed    error // told when the client has acknowledged an error challenge
}

// Claim is what a client says of itself in an exchange.
type Claim struct {
	Identity      string // that it wants to act as; empty: the one that it logs in as
	Login, Secret string
}

// NewExchange begins an exchange of one of Mechanisms; false for any other. The
// login function gets what the client claims; its error ends the exchange.
func NewExchange(mechanism string, login func(Claim) error) (*Exchange, bool) {
	x := &Exchange{mechanism: mechanism, login: login}
	switch mechanism {
	case sasl.Plain:
		x.next = x.plain
	case sasl.Login:
		x.next = x.username
	case sasl.OAuthBearer, XOAuth2:
		x.next = x.bearer
	}
	return x, slices.Contains(Mechanisms, mechanism)
}

// Next takes the client's response, nil when the command had none, and returns
// the challenge that is due. An error is a fault of this file or what the login
// function returned.
func (x *Exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if x.next == nil {
		return nil, false, ErrSASLOver
	}
	step := x.next
	x.next = nil
	if challenge, err = step(response); err != nil {
		x.next = nil
		return nil, false, err
	}
	return challenge, x.next == nil, nil
}

// plain is RFC 4616: authorization identity, authentication identity and
// password with NUL between them.
func (x *Exchange) plain(response []byte) ([]byte, error) {
	if response == nil {
		x.next = x.plain
		return nil, nil
	}
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return nil, ErrSASLForm
	}
	return nil, x.login(Claim{Identity: string(parts[0]), Login: string(parts[1]), Secret: string(parts[2])})
}

// username and password are LOGIN, which was never standardised
// (draft-murchison-sasl-login): the prompts are those that clients compare with.
func (x *Exchange) username(response []byte) ([]byte, error) {
	if response == nil {
		x.next = x.username
		return []byte("Username:"), nil
	}
	x.user = string(response)
	x.next = x.password
	return []byte("Password:"), nil
}

func (x *Exchange) password(response []byte) ([]byte, error) {
	return nil, x.login(Claim{Login: x.user, Secret: string(response)})
}

// bearer is OAUTHBEARER and XOAUTH2: a token instead of a password, and a
// refusal that first goes to the client as a challenge. RFC 7628, section 3.2.3:
// the client acknowledges it, and the exchange then fails.
func (x *Exchange) bearer(response []byte) ([]byte, error) {
	if response == nil {
		x.next = x.bearer
		return nil, nil
	}
	user, token, err := x.parseBearer(response)
	if err == nil {
		err = x.login(Claim{Login: user, Secret: token})
	}
	status := x.status(err)
	if status == "" {
		return nil, err
	}
	x.failed, x.next = err, x.acknowledged
	return errorChallenge(status), nil
}

func (x *Exchange) parseBearer(response []byte) (user, token string, err error) {
	if x.mechanism == XOAuth2 {
		return parseXOAuth2(string(response))
	}
	return parseOAuthBearer(string(response))
}

// status is what the challenge says of an error (RFC 7628, section 3.2.2); none
// for success, and for refusals that are not about the token: those fail at once,
// so that the client hears that it may come back.
func (x *Exchange) status(err error) string {
	switch {
	case errors.Is(err, ErrSASLForm) && x.mechanism == sasl.OAuthBearer:
		return "invalid_request"
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrExpired):
		if x.mechanism == sasl.OAuthBearer {
			return "invalid_token"
		}
		return "401"
	}
	return ""
}

// errorChallenge names no scope and no place to get another token: there is
// none but the operator.
func errorChallenge(status string) []byte {
	text, err := json.Marshal(struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes"`
	}{status, "bearer"})
	if err != nil {
		panic(err) // two strings
	}
	return text
}

// acknowledged takes whatever the client says to an error challenge: OAUTHBEARER
// wants %x01 and XOAUTH2 an empty response, and the answer is the same.
func (x *Exchange) acknowledged([]byte) ([]byte, error) { return nil, x.failed }

// parseOAuthBearer reads a client's response (RFC 7628, section 3.1): the header
// of GS2 (RFC 5801, section 4), then key=value pairs, each ended by %x01, and one
// %x01 more. Keys other than auth are where the client believes to be and what
// extensions may bring, and are passed over.
func parseOAuthBearer(text string) (user, token string, err error) {
	binding, rest, _ := strings.Cut(text, ",")
	identity, rest, ok := strings.Cut(rest, ",")
	if !ok || binding != "n" && binding != "y" {
		return "", "", ErrSASLForm
	}
	if identity != "" {
		name, ok := strings.CutPrefix(identity, "a=")
		if user, ok = unescapeName(name, ok); !ok {
			return "", "", ErrSASLForm
		}
	}
	pairs, ok := strings.CutPrefix(rest, "\x01")
	if !ok {
		return "", "", ErrSASLForm
	}
	token, err = bearerToken(pairs)
	return user, token, err
}

// unescapeName undoes the two escapes of a saslname (RFC 5801, section 4).
func unescapeName(name string, ok bool) (string, bool) {
	var b strings.Builder
	for {
		before, after, more := strings.Cut(name, "=")
		b.WriteString(before)
		switch {
		case !more:
			return b.String(), ok && b.Len() > 0
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		name = after[2:]
	}
}

// parseXOAuth2 reads "user=" name %x01 "auth=Bearer " token %x01 %x01.
func parseXOAuth2(text string) (user, token string, err error) {
	user, pairs, ok := strings.Cut(text, "\x01")
	user, named := strings.CutPrefix(user, "user=")
	if !ok || !named {
		return "", "", ErrSASLForm
	}
	token, err = bearerToken(pairs)
	return user, token, err
}

// bearerToken finds the token among key=value pairs. The scheme's name is
// without case (RFC 9110, section 11.1).
func bearerToken(pairs string) (token string, err error) {
	pairs, ended := strings.CutSuffix(pairs, "\x01\x01")
	if !ended {
		return "", ErrSASLForm
	}
	found := 0
	for pair := range strings.SplitSeq(pairs, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return "", ErrSASLForm
		}
		if key != "auth" {
			continue
		}
		scheme, secret, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", ErrSASLForm
		}
		token = strings.TrimLeft(secret, " ")
		found++
	}
	if found != 1 {
		return "", ErrSASLForm // none, or nobody knows which
	}
	return token, nil
}
