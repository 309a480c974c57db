package control

import (
	"context"
	"time"

	"postern/server/directory"
)

// PersonProof is what somebody shows in their session so that it is taken for theirs
// again: a code, a passkey, or, who has no second factor, their password.
type PersonProof struct {
	Code     string `json:"code,omitempty"`
	Password string `json:"password,omitempty"`
	PasskeyAnswer
}

// NewTOTP asks to take an authenticator into use, by the code that it shows.
type NewTOTP struct {
	Secret string `json:"secret"`
	Code   string `json:"code"`
}

// Refactored is a new factor, shown this once, and the session that goes on.
type Refactored struct {
	Factor
	Session string `json:"session,omitempty"` // empty: the token stays
}

// Invitation is a link by which a person begins their account, shown this once.
type Invitation struct {
	Person  string    `json:"person"`
	Secret  string    `json:"secret"`
	Path    string    `json:"path"` // of the panel
	Link    string    `json:"link,omitempty"`
	Expires time.Time `json:"expires_at"`
}

// Welcome is somebody who has a link.
type Welcome struct {
	Secret string `json:"secret"`
	Client string `json:"client,omitempty"`
	Look   bool   `json:"look,omitempty"` // only whether it can be used
}

// InvitePath is where the panel takes the secret of a link.
const InvitePath = "/welcome/"

func (s *Server) renewCommands() {
	answer(s, "person.renew", s.personRenew)
	answer(s, "person.totp-new", s.personTOTPNew)
	answer(s, "person.totp", s.personTOTP)
	answer(s, "person.recovery", s.personRecovery)
	answer(s, "person.handover", s.personHandover)
	answer(s, "person.invite", s.personInvite)
	answer(s, "person.welcome", s.personWelcome)
}

// Renew shows again who asks. The session goes on under another token.
func (c *Client) Renew(ctx context.Context, q PersonProof) (Renewed, error) {
	return ask[PersonProof, Renewed](ctx, c, "person.renew", q)
}

func (s *Server) personRenew(ctx context.Context, by caller, q PersonProof) (Renewed, error) {
	if by.person == nil {
		return Renewed{}, &Error{Code: State, Message: "nobody is logged in"}
	}
	token, err := s.Directory.Renew(ctx, by.person, by.Actor, directory.Proof{Code: q.Code, Password: q.Password, Passkey: q.Answer, Asked: by.asked(q.PasskeyAnswer)})
	if err != nil {
		return Renewed{}, proofError(err)
	}
	return s.goesOn(ctx, by, token)
}

// proofError has who is refused here told what helps at a login.
func proofError(err error) error {
	e := refusal(err)
	if e.Code == Refused {
		e.Noun = "login"
	}
	return e
}

// goesOn is the caller under their session's new token.
func (s *Server) goesOn(ctx context.Context, by caller, token string) (Renewed, error) {
	ps, err := s.Directory.PersonSession(ctx, token)
	if err != nil {
		return Renewed{}, err
	}
	by.person, by.fresh = ps, s.Now().Before(ps.Fresh)
	return Renewed{token, by.whoami()}, nil
}

// ProposeTOTP makes a secret for an authenticator; it counts when SetTOTP takes it.
func (c *Client) ProposeTOTP(ctx context.Context) (Factor, error) {
	return ask[None, Factor](ctx, c, "person.totp-new", None{})
}

func (s *Server) personTOTPNew(_ context.Context, by caller, _ None) (Factor, error) {
	if by.person == nil {
		return Factor{}, &Error{Code: State, Message: "nobody is logged in"}
	}
	f, err := s.Directory.ProposeTOTP(&by.person.Person)
	return factorView(f), err
}

// SetTOTP takes an authenticator into use in place of the one before.
func (c *Client) SetTOTP(ctx context.Context, q NewTOTP) (Refactored, error) {
	return ask[NewTOTP, Refactored](ctx, c, "person.totp", q)
}

func (s *Server) personTOTP(ctx context.Context, by caller, q NewTOTP) (Refactored, error) {
	if err := by.own(); err != nil {
		return Refactored{}, err
	}
	f, token, err := s.Directory.SetTOTP(ctx, by.person, by.Actor, q.Secret, q.Code)
	return Refactored{factorView(f), token}, err
}

// RenewRecovery makes new recovery codes; the old ones end.
func (c *Client) RenewRecovery(ctx context.Context) (Refactored, error) {
	return ask[None, Refactored](ctx, c, "person.recovery", None{})
}

func (s *Server) personRecovery(ctx context.Context, by caller, _ None) (Refactored, error) {
	if err := by.own(); err != nil {
		return Refactored{}, err
	}
	codes, err := s.Directory.RenewRecovery(ctx, by.person, by.Actor)
	return Refactored{Factor: Factor{Recovery: codes}}, err
}

// HandOver begins another session of who asks, for the command line.
func (c *Client) HandOver(ctx context.Context) (PersonLogin, error) {
	return ask[None, PersonLogin](ctx, c, "person.handover", None{})
}

func (s *Server) personHandover(ctx context.Context, by caller, _ None) (PersonLogin, error) {
	if by.person == nil {
		return PersonLogin{}, &Error{Code: State, Message: "nobody is logged in"}
	}
	if by.person.Must != "" {
		return PersonLogin{}, by.unready(directory.ActSelf)
	}
	if err := by.own(); err != nil {
		return PersonLogin{}, err
	}
	ps, token, err := s.Directory.HandSession(ctx, by.person, by.Actor, doorHere)
	if err != nil {
		return PersonLogin{}, err
	}
	by.person = ps
	return PersonLogin{token, by.whoami()}, nil
}

// Invite makes a link by which a person sets up how they sign in.
func (c *Client) Invite(ctx context.Context, person string) (Invitation, error) {
	return ask[PersonRef, Invitation](ctx, c, "person.invite", PersonRef{person})
}

func (s *Server) personInvite(ctx context.Context, by caller, q PersonRef) (Invitation, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err != nil {
		return Invitation{}, err
	}
	p, secret, expires, err := s.Directory.Invite(ctx, by.Actor, by.org, p.ID)
	if err != nil {
		return Invitation{}, err
	}
	in := Invitation{Person: p.Address, Secret: secret, Path: InvitePath + secret, Expires: expires}
	if s.Panel != "" {
		in.Link = s.Panel + in.Path
	}
	return in, nil
}

// Welcome uses a link up, and begins the session of its person.
func (c *Client) Welcome(ctx context.Context, q Welcome) (PersonLogin, error) {
	return ask[Welcome, PersonLogin](ctx, c, "person.welcome", q)
}

func (s *Server) personWelcome(ctx context.Context, by caller, q Welcome) (PersonLogin, error) {
	w := directory.Welcome{Org: by.org, Secret: q.Secret, Door: by.door, Client: q.Client, Peer: by.Actor, Network: by.Network}
	if q.Look {
		return PersonLogin{}, s.Directory.Invited(ctx, w)
	}
	ps, token, err := s.Directory.EnterByInvitation(ctx, w)
	if err != nil {
		return PersonLogin{}, err
	}
	by.person = ps
	return PersonLogin{token, by.whoami()}, nil
}
