package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

// setupAnswers are what postern setup is told.
type setupAnswers struct {
	name     control.SetupName
	admin    string
	domain   string
	agent    string
	recovery string // file
	finish   bool
}

func setupCommand(t *talk) *cobra.Command {
	var q setupAnswers
	c := &cobra.Command{
		Use: "setup --host NAME --admin EMAIL", Short: "Set up a server that has no name yet, as the pages of its link do", Args: exactly(),
		Long: `Set up a server that runs in set-up mode. Each flag does one step: --host gives the server
its name, --recovery-file keeps a new recovery key, --admin makes the first account (its
password is asked for, or taken from POSTERN_PASSWORD or the file that POSTERN_PASSWORD_FILE
names), --domain adds a domain and --agent an agent with an inbox in it. Steps that are done
already are left alone, so that the command can be run again. Without a flag it says how far
the set-up is. --finish ends it; what was not done then stands under health.

Doors for mail open as soon as the server has a name and somebody has an account.`,
		Example: `  sudo postern setup --host mail.example.com --admin you@example.com
  sudo postern setup --host mail.example.com --admin you@example.com --domain agents.example.com --agent scout --recovery-file key.txt --finish -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.setUp(cmd.Context(), &q) },
	}
	f := c.Flags()
	f.StringVar(&q.name.Host, "host", "", "full name of this server, as mail.example.com")
	f.StringSliceVar(&q.name.Addresses, "address", nil, "address under which others reach it; may be repeated (what this machine knows)")
	f.StringVar(&q.name.Directory, "acme", "", "authority for certificates: letsencrypt, or the URL of a directory")
	f.StringVar(&q.name.Contact, "acme-contact", "", "mail address that the authority may write to")
	f.StringVar(&q.name.Probe, "probe", "", "domain by whose mail server port 25 is tried; nothing is sent")
	f.BoolVar(&q.name.Lists, "block-lists", false, "ask public block lists about the addresses of this server")
	f.StringVar(&q.admin, "admin", "", "mail address of the first account, an admin's")
	f.StringVar(&q.domain, "domain", "", "first domain, as agents.example.com")
	f.StringVar(&q.agent, "agent", "", "first agent: gets an inbox of its name in --domain, and a credential with all verbs")
	f.StringVar(&q.recovery, "recovery-file", "", "file that gets a new recovery key; it must not exist")
	f.BoolVar(&q.finish, "finish", false, "end the set-up")
	return c
}

// setUpResult is what postern setup prints: how far the set-up is, and what is shown
// this once.
type setUpResult struct {
	control.Setup
	Admin       *control.Enrolled `json:"admin,omitempty"`
	RecoveryKey string            `json:"recovery_key_file,omitempty"`
	Domain      string            `json:"domain,omitempty"`
	Agent       *control.Issued   `json:"agent,omitempty"`
}

// setUp does the steps that were asked for and are not done.
func (t *talk) setUp(ctx context.Context, q *setupAnswers) error {
	var r setUpResult
	var err error
	if r.Setup, err = t.client().Setup(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *control.Client, *setupAnswers, *setUpResult) error{
		t.setUpName, t.setUpKeys, t.setUpAdmin, t.setUpDomain, t.setUpAgent, t.setUpEnd,
	} {
		c := t.client() // a new connection: the server may have been made anew
		err := step(ctx, c, q, &r)
		c.Close()
		if err != nil {
			return errors.Join(err, t.settled(&r)) // what was shown once must not be lost
		}
	}
	if r.Setup, err = t.client().Setup(ctx); err != nil {
		return errors.Join(err, t.settled(&r))
	}
	return t.settled(&r)
}

func (t *talk) setUpName(ctx context.Context, c *control.Client, q *setupAnswers, r *setUpResult) (err error) {
	if q.name.Host == "" || strings.EqualFold(q.name.Host, r.Host) && len(q.name.Addresses) == 0 {
		return nil
	}
	r.Setup, err = c.NameServer(ctx, q.name)
	return err
}

func (t *talk) setUpKeys(ctx context.Context, c *control.Client, q *setupAnswers, r *setUpResult) error {
	if q.recovery == "" {
		return nil
	}
	key, err := t.keepRecovery(ctx, c, q.recovery)
	if err == nil {
		r.RecoveryKey = q.recovery
		t.say("Recovery key %s is in %s. Keep it where neither this machine nor its backups are, and remove it here.", key.ID, q.recovery)
	}
	return err
}

// keepRecovery writes a new recovery key to a file, durably, and confirms it then.
func (t *talk) keepRecovery(ctx context.Context, c *control.Client, path string) (control.RecoveryKey, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return control.RecoveryKey{}, err
	}
	key, err := c.MakeRecoveryKey(ctx)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s\n", key.Key)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return key, err
	}
	_, err = c.ConfirmRecoveryKey(ctx, key.Key[len(key.Key)-4:])
	return key, err
}

func (t *talk) setUpAdmin(ctx context.Context, c *control.Client, q *setupAnswers, r *setUpResult) error {
	if q.admin == "" || r.Step(storage.SetupAdmin) == "done" {
		return nil
	}
	password, err := t.secret("POSTERN_PASSWORD", "new password", true)
	if err != nil {
		return err
	}
	made, err := c.CreatePerson(ctx, control.PersonCreate{Address: q.admin, Password: password, Roles: []storage.PersonRole{storage.PersonAdmin}})
	if err == nil {
		r.Admin = &made
	}
	return err
}

func (t *talk) setUpDomain(ctx context.Context, c *control.Client, q *setupAnswers, r *setUpResult) error {
	if q.domain == "" {
		return nil
	}
	d, err := c.Domain(ctx, q.domain)
	var no *control.Error
	if errors.As(err, &no) && no.Code == control.NotFound {
		d, err = c.AddDomain(ctx, control.DomainAdd{Name: q.domain})
	}
	r.Domain = d.Name
	return err
}

// setUpAgent makes an inbox, an agent and a credential. Of an agent that exists the
// token is known to nobody, and none is made anew.
func (t *talk) setUpAgent(ctx context.Context, c *control.Client, q *setupAnswers, r *setUpResult) error {
	if q.agent == "" || r.Step(storage.SetupAgent) == "done" {
		return nil
	}
	if q.domain == "" {
		return usage("--agent needs --domain: in which domain its inbox is")
	}
	made, err := c.FoundAgent(ctx, control.SetupAgent{Name: q.agent, Inbox: q.agent + "@" + q.domain, Owner: q.admin})
	if err == nil {
		r.Agent = &made
	}
	return err
}

func (t *talk) setUpEnd(ctx context.Context, c *control.Client, q *setupAnswers, r *setUpResult) (err error) {
	if q.finish && r.Needed {
		r.Setup, err = c.FinishSetup(ctx)
	}
	return err
}

// settled shows how far the set-up is.
func (t *talk) settled(r *setUpResult) error {
	pairs := []pair{{"host", orDash(r.Host)}, {"mail", doorWord(r.Open)}}
	for _, s := range r.Steps {
		pairs = append(pairs, pair{string(s.Name), s.State})
	}
	if r.Admin != nil && r.Admin.Secret != "" {
		pairs = append(pairs, pair{"TOTP secret", r.Admin.Secret}, pair{"TOTP URI", r.Admin.URI}, pair{"recovery codes", strings.Join(r.Admin.Factor.Recovery, " ")})
	}
	if r.Agent != nil {
		pairs = append(pairs, pair{"login", r.Agent.Scopes[0].Inbox}, pair{"token", r.Agent.Secret})
	}
	if r.Needed {
		defer t.say("%s", furtherStep(&r.Setup))
	}
	return t.show(r, pairs...)
}

func doorWord(open bool) string {
	if open {
		return "doors are open"
	}
	return "doors are closed"
}

// furtherStep is what helps a set-up on.
func furtherStep(s *control.Setup) string {
	switch s.Next() {
	case storage.SetupName:
		return "Next: postern setup --host mail.example.com"
	case storage.SetupKeys:
		return "Next: postern setup --recovery-file FILE"
	case storage.SetupAdmin:
		return "Next: postern setup --admin you@example.com"
	case storage.SetupDomain:
		return "Next: postern setup --domain agents.example.com"
	case storage.SetupAgent:
		return "Next: postern setup --domain DOMAIN --agent NAME"
	}
	return "All steps are done. To end the set-up: postern setup --finish"
}

func setupLinkCommand(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "setup-link", Short: "Make a new link by which the server is set up; the one before is dead", Args: exactly(),
		Long: `Make a new link by which one person sets the server up in a browser: it works once, for half
an hour. There is none once somebody has an account: they sign in.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := t.client().SetupLink(cmd.Context())
			if err != nil {
				return err
			}
			return t.show(l, pair{"open", l.URL}, pair{"certificate SHA-256", l.Fingerprint}, pair{"works once, until", instant(l.Expires.Truncate(time.Second))})
		},
	}
}
