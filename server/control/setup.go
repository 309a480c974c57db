package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/server/directory"
	"postern/server/setup"
	"postern/storage"
)

// Setup is how far an installation is.
type Setup struct {
	Needed    bool        `json:"needed"` // no configuration names this server, and the set-up has not come to its end
	Managed   bool        `json:"managed"`
	Host      string      `json:"host,omitempty"`
	Addresses []string    `json:"addresses,omitempty"`
	Directory string      `json:"acme_directory,omitempty"`
	Contact   string      `json:"acme_contact,omitempty"`
	Probe     string      `json:"probe,omitempty"`       // domain by whose mail server port 25 is tried
	Lists     bool        `json:"block_lists,omitempty"` // may be asked
	Open      bool        `json:"open"`                  // mail is received and handed out
	Steps     []SetupStep `json:"steps"`
	Recovery  *Recovery   `json:"recovery_key,omitempty"`
	LinkEnds  time.Time   `json:"link_expires_at,omitzero"`
	Finished  time.Time   `json:"finished_at,omitzero"`
}

// SetupStep is one step of a set-up.
type SetupStep struct {
	Name  storage.SetupStep `json:"step"`  // name, keys, admin, domain, agent
	State string            `json:"state"` // open, done, skipped
}

// Recovery is what is known of the recovery key.
type Recovery struct {
	ID        string    `json:"id"`
	Made      time.Time `json:"made_at"`
	Confirmed time.Time `json:"confirmed_at,omitzero"` // when somebody showed that they keep it
}

// SetupGate is what who is not signed in may know.
type SetupGate struct {
	Needed bool `json:"needed"` // nobody can sign in: the way in is a link
}

// SetupLink is a link by which one person may set the server up.
type SetupLink struct {
	URL         string    `json:"url"`
	Fingerprint string    `json:"certificate_sha256"`
	Expires     time.Time `json:"expires_at"`
}

// SetupEnter uses a link up.
type SetupEnter struct {
	Link string `json:"link"`
}

// SetupSession is the token of who used a link, which is shown this once.
type SetupSession struct {
	Session string `json:"session"`
}

// SetupName is what the first step says.
type SetupName struct {
	Host      string   `json:"host"`
	Addresses []string `json:"addresses,omitempty"` // as others reach it; none: what this machine knows
	Directory string   `json:"acme_directory,omitempty"`
	Contact   string   `json:"acme_contact,omitempty"`
	Probe     string   `json:"probe,omitempty"`
	Lists     bool     `json:"block_lists,omitempty"`
}

// SetupSkip puts a step off.
type SetupSkip struct {
	Step storage.SetupStep `json:"step"`
}

// SetupAdmin is the first person.
type SetupAdmin struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

// SetupEnrolled is the first person, with what is shown this once, and their session.
type SetupEnrolled struct {
	Enrolled
	Session string `json:"session"`
}

// SetupCode shows that the second factor works.
type SetupCode struct {
	Code string `json:"code"`
}

// RecoveryKey is a recovery key, which is shown this once.
type RecoveryKey struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// RecoveryTail shows that somebody keeps it.
type RecoveryTail struct {
	Tail string `json:"last_four"`
}

func (s *Server) setupCommands() {
	answer(s, "setup.gate", s.setupGate)
	answer(s, "setup.enter", s.setupEnter)
	answer(s, "setup.link", s.setupLink)
	answer(s, "setup.show", s.setupShow)
	answer(s, "setup.name", s.setupName)
	answer(s, "setup.skip", s.setupSkip)
	answer(s, "setup.admin", s.setupAdmin)
	answer(s, "setup.prove", s.setupProve)
	answer(s, "setup.finish", s.setupFinish)
	answer(s, "setup.check", s.setupCheck)
	answer(s, "setup.checked", s.setupChecked)
	answer(s, "key.recovery", s.keyRecovery)
	answer(s, "key.confirm", s.keyConfirm)
}

// strangers are the commands that another door may ask before anybody is signed in.
var strangers = []string{"person.login", "person.welcome", "passkey.ask", "setup.gate", "setup.enter"}

// SetupGate says whether the way in is a link, since nobody has an account.
func (c *Client) SetupGate(ctx context.Context) (SetupGate, error) {
	return ask[None, SetupGate](ctx, c, "setup.gate", None{})
}

func (s *Server) setupGate(ctx context.Context, by caller, _ None) (SetupGate, error) {
	state, err := s.Setup.State(ctx, by.org)
	return SetupGate{state.Needed && !state.Anybody}, err
}

// EnterSetup uses a link up. Every refusal has the same words. // AC-12
func (c *Client) EnterSetup(ctx context.Context, link string) (SetupSession, error) {
	return ask[SetupEnter, SetupSession](ctx, c, "setup.enter", SetupEnter{link})
}

func (s *Server) setupEnter(ctx context.Context, by caller, q SetupEnter) (SetupSession, error) {
	token, err := s.Setup.Enter(ctx, by.Network, by.org, q.Link)
	if errors.Is(err, setup.ErrLink) {
		err = &Error{Code: Refused, Noun: "link", Message: plain(err, setup.ErrLink), cause: err}
	}
	return SetupSession{token}, err
}

// SetupLink makes a link by which one person may set the server up; the one before is
// dead.
func (c *Client) SetupLink(ctx context.Context) (SetupLink, error) {
	return ask[None, SetupLink](ctx, c, "setup.link", None{})
}

func (s *Server) setupLink(ctx context.Context, by caller, _ None) (SetupLink, error) {
	text, ends, err := s.Setup.Link(ctx, by.Actor, by.org)
	if err != nil {
		return SetupLink{}, err
	}
	url, fingerprint := s.Invite(text, ends)
	return SetupLink{url, fingerprint, ends}, nil
}

// Setup says how far the installation is.
func (c *Client) Setup(ctx context.Context) (Setup, error) {
	return ask[None, Setup](ctx, c, "setup.show", None{})
}

func (s *Server) setupShow(ctx context.Context, by caller, _ None) (Setup, error) {
	state, err := s.Setup.State(ctx, by.org)
	if err != nil {
		return Setup{}, err
	}
	return setupView(&state), nil
}

func setupView(state *setup.State) Setup {
	u := &state.Setup
	v := Setup{Needed: state.Needed, Managed: state.Managed, Host: state.Host, Addresses: u.Addresses, Directory: u.Directory, Contact: u.Contact,
		Probe: u.Probe, Lists: u.Lists, Open: state.Open, LinkEnds: u.LinkEnds, Finished: u.Finished}
	for _, step := range state.Steps {
		word := "open"
		switch {
		case step.Done:
			word = "done"
		case step.Skip:
			word = "skipped"
		}
		v.Steps = append(v.Steps, SetupStep{step.Name, word})
	}
	if u.Recovery.ID != "" {
		v.Recovery = &Recovery{u.Recovery.ID, u.Recovery.Made, u.Recovery.Confirmed}
	}
	return v
}

// Step is the state of a step.
func (s *Setup) Step(name storage.SetupStep) string {
	i := slices.IndexFunc(s.Steps, func(step SetupStep) bool { return step.Name == name })
	if i < 0 {
		return ""
	}
	return s.Steps[i].State
}

// Next is the first step that is neither done nor put off; empty when there is none.
func (s *Setup) Next() storage.SetupStep {
	for _, step := range s.Steps {
		if step.State == "open" {
			return step.Name
		}
	}
	return ""
}

// NameServer gives the server its name and says how far the set-up is then.
func (c *Client) NameServer(ctx context.Context, q SetupName) (Setup, error) {
	return ask[SetupName, Setup](ctx, c, "setup.name", q)
}

func (s *Server) setupName(ctx context.Context, by caller, q SetupName) (Setup, error) {
	err := s.Setup.SetName(ctx, by.Actor, by.org, setup.Name{Host: q.Host, Addresses: q.Addresses, Directory: q.Directory, Contact: q.Contact, Probe: q.Probe, Lists: q.Lists})
	if err != nil {
		return Setup{}, err
	}
	return s.setupShow(ctx, by, None{})
}

// SkipSetup puts a step off.
func (c *Client) SkipSetup(ctx context.Context, step storage.SetupStep) (Setup, error) {
	return ask[SetupSkip, Setup](ctx, c, "setup.skip", SetupSkip{step})
}

func (s *Server) setupSkip(ctx context.Context, by caller, q SetupSkip) (Setup, error) {
	if err := s.Setup.Skip(ctx, by.Actor, by.org, q.Step); err != nil {
		return Setup{}, err
	}
	return s.setupShow(ctx, by, None{})
}

// SetupAdmin makes the first account, an admin's, and begins their session. It has no
// second factor until SetupProve. // AC-15
func (c *Client) SetupAdmin(ctx context.Context, q SetupAdmin) (SetupEnrolled, error) {
	return ask[SetupAdmin, SetupEnrolled](ctx, c, "setup.admin", q)
}

func (s *Server) setupAdmin(ctx context.Context, by caller, q SetupAdmin) (SetupEnrolled, error) {
	made, err := s.personCreate(ctx, by, PersonCreate{Address: q.Address, Password: q.Password, Roles: []storage.PersonRole{storage.PersonAdmin}})
	if err != nil {
		return SetupEnrolled{}, err
	}
	p, err := s.Directory.Person(ctx, by.org, made.Address)
	if err != nil {
		return SetupEnrolled{}, err
	}
	_, token, err := s.Directory.StartSession(ctx, by.Actor, p, directory.SessionSpec{Door: by.door, Method: "password", Network: by.Network})
	return SetupEnrolled{made, token}, err
}

// SetupProve shows that the new second factor works: the session in which that is done
// goes on under another token.
func (c *Client) SetupProve(ctx context.Context, code string) (SetupSession, error) {
	return ask[SetupCode, SetupSession](ctx, c, "setup.prove", SetupCode{code})
}

func (s *Server) setupProve(ctx context.Context, by caller, q SetupCode) (SetupSession, error) {
	if by.person == nil {
		return SetupSession{}, &Error{Code: State, Message: "nobody is logged in"}
	}
	token, err := s.Directory.Renew(ctx, by.person, by.Actor, directory.Proof{Code: q.Code})
	return SetupSession{token}, err
}

// FinishSetup ends the set-up.
func (c *Client) FinishSetup(ctx context.Context) (Setup, error) {
	return ask[None, Setup](ctx, c, "setup.finish", None{})
}

func (s *Server) setupFinish(ctx context.Context, by caller, _ None) (Setup, error) {
	if err := s.Setup.Finish(ctx, by.Actor, by.org); err != nil {
		return Setup{}, err
	}
	return s.setupShow(ctx, by, None{})
}

// SetupCheck is what the network says of this server.
type SetupCheck struct {
	Checked  time.Time       `json:"checked_at,omitzero"`
	Findings []setup.Finding `json:"findings"`
}

// CheckSetup asks the network now whether the name leads here and back, and mail out.
func (c *Client) CheckSetup(ctx context.Context) (SetupCheck, error) {
	return ask[None, SetupCheck](ctx, c, "setup.check", None{})
}

func (s *Server) setupCheck(ctx context.Context, by caller, _ None) (SetupCheck, error) {
	l, err := s.Setup.Look(ctx, by.org)
	return SetupCheck{l.At, l.Findings}, err
}

// SetupChecked is what CheckSetup found last, and asks nobody.
func (c *Client) SetupChecked(ctx context.Context) (SetupCheck, error) {
	return ask[None, SetupCheck](ctx, c, "setup.checked", None{})
}

func (s *Server) setupChecked(context.Context, caller, None) (SetupCheck, error) {
	l := s.Setup.Looked()
	return SetupCheck{l.At, slices.Clone(l.Findings)}, nil
}

// founds refuses what is for who founds the installation, while nobody has an account,
// and for who manages people afterwards.
func (s *Server) founds(ctx context.Context, by caller) error {
	state, err := s.Setup.State(ctx, by.org)
	if err != nil || !state.Anybody {
		return err
	}
	return by.may(directory.ActPeople)
}

// MakeRecoveryKey makes a key that opens the root key, and shows it this once. It
// counts when ConfirmRecoveryKey was told its end.
func (c *Client) MakeRecoveryKey(ctx context.Context) (RecoveryKey, error) {
	return ask[None, RecoveryKey](ctx, c, "key.recovery", None{})
}

func (s *Server) keyRecovery(ctx context.Context, by caller, _ None) (RecoveryKey, error) {
	if err := s.founds(ctx, by); err != nil {
		return RecoveryKey{}, err
	}
	key, err := s.Setup.MakeRecovery(ctx, by.Actor, by.org)
	if err != nil {
		return RecoveryKey{}, err
	}
	return RecoveryKey{key.ID(), key.Text()}, nil
}

// ConfirmRecoveryKey shows that somebody keeps the recovery key, by its last four
// characters.
func (c *Client) ConfirmRecoveryKey(ctx context.Context, tail string) (Setup, error) {
	return ask[RecoveryTail, Setup](ctx, c, "key.confirm", RecoveryTail{tail})
}

func (s *Server) keyConfirm(ctx context.Context, by caller, q RecoveryTail) (Setup, error) {
	if err := s.founds(ctx, by); err != nil {
		return Setup{}, err
	}
	if err := s.Setup.ConfirmRecovery(ctx, by.Actor, by.org, q.Tail); err != nil {
		return Setup{}, err
	}
	return s.setupShow(ctx, by, None{})
}
