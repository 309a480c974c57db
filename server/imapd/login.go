package imapd

import (
	"bytes"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"postern/server/directory"
)

// Login is the LOGIN command. The user name names the inbox, the password is the agent's token. // AC-1
func (s *session) Login(username, password string) error {
	return s.login("LOGIN", username, password)
}

// AuthenticateMechanisms lists what AUTHENTICATE takes: what clients without an SDK have. Both send the secret, which
// is why there is no way to this server but TLS. // AC-10
func (s *session) AuthenticateMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Authenticate begins an exchange.
func (s *session) Authenticate(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return &exchange{s: s, next: (*exchange).plain}, nil
	case sasl.Login:
		return &exchange{s: s, next: (*exchange).username}, nil
	}
	return nil, no(imap.ResponseCodeCannot, "Mechanisms are PLAIN and LOGIN")
}

// login opens the inbox that a login names, and says how the session is cut when the login ends.
func (s *session) login(mechanism, username, password string) error {
	p, err := s.server.directory.Authenticate(s.ctx, directory.Attempt{
		Login: username, Secret: password, Remote: remoteAddr(s.guard), Door: door,
		TLS: s.tlsVersion(), Mechanism: mechanism,
	})
	if err != nil {
		return s.fault(err)
	}
	s.principal, s.inbox = p, p.Inbox
	s.server.directory.Register(p, s.kill)
	return nil
}

// An exchange is the server's side of PLAIN and LOGIN.
type exchange struct {
	s    *session
	next func(x *exchange, response []byte) (challenge []byte, err error) // nil when the exchange is over
	user string
}

// Next takes the client's response; it is nil when the command had none.
func (x *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if x.next == nil {
		return nil, false, bad("The exchange is over")
	}
	challenge, err = x.next(x, response)
	return challenge, x.next == nil, err
}

// plain is RFC 4616: authorization identity, authentication identity and password with NUL between them.
func (x *exchange) plain(response []byte) ([]byte, error) {
	if response == nil {
		return []byte{}, nil
	}
	x.next = nil
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return nil, bad("Malformed PLAIN response")
	}
	if identity := string(parts[0]); identity != "" && identity != string(parts[1]) {
		return nil, no(imap.ResponseCodeAuthorizationFailed, "Acting for another identity is not allowed")
	}
	return nil, x.s.login(sasl.Plain, string(parts[1]), string(parts[2]))
}

// username and password are LOGIN, which was never standardised (draft-murchison-sasl-login): the prompts are those
// that clients compare with.
func (x *exchange) username(response []byte) ([]byte, error) {
	if response == nil {
		return []byte("Username:"), nil
	}
	x.user = string(response)
	x.next = (*exchange).password
	return []byte("Password:"), nil
}

func (x *exchange) password(response []byte) ([]byte, error) {
	x.next = nil
	return nil, x.s.login(sasl.Login, x.user, string(response))
}
