package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server"
	"postern/server/control"
)

func loginCommand(t *talk) *cobra.Command {
	var q control.PersonLoginRequest
	var renew bool
	c := &cobra.Command{
		Use: "login --admin EMAIL | --renew", Short: "Log in as a person, with password and second factor", Args: exactly(),
		Long: `Log in as a person, for what is reserved for people: releasing, unfreezing, policy, waivers.
The session is left in a file that later commands find by themselves; with -o json it is
printed instead, for POSTERN_SESSION. The password is asked for, or taken from POSTERN_PASSWORD
or the file that POSTERN_PASSWORD_FILE names. A recovery code stands in for a lost authenticator.

What does harm in the wrong hands asks for a second factor that was shown a moment ago: --renew
shows it again in the session that there is. Who signs in by a passkey does so in the panel, which
hands over a session for the command line under "Your account".`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if renew {
				return t.renew(cmd.Context(), q.Code)
			}
			q.Client = "postern " + server.Version()
			if q.Address == "" {
				return misused(cmd, usage("--admin is missing: whose account it is"))
			}
			if q.Password, err = t.secret("POSTERN_PASSWORD", "password", false); err != nil {
				return err
			}
			if q.Code == "" {
				if q.Code, err = t.ask("Code of the authenticator"); err != nil {
					return err
				}
			}
			in, err := control.NewClient(t.socket).Login(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.loggedIn(in)
		},
	}
	c.Flags().StringVar(&q.Address, "admin", "", "mail address of the account")
	c.Flags().StringVar(&q.Code, "code", "", "code of the authenticator, or a recovery code (asked for)")
	c.Flags().BoolVar(&renew, "renew", false, "show the second factor again in the session that there is")
	return c
}

// renew shows again who asks: by a code, or, who has no second factor, by the password.
func (t *talk) renew(ctx context.Context, code string) error {
	w, err := t.client().Whoami(ctx)
	if err != nil {
		return err
	}
	proof := control.PersonProof{Code: code}
	switch {
	case w.Kind != "person":
		return &failure{status: exitRefused, err: errors.New("nobody is logged in"), next: people["session"]}
	case w.Factor && code == "":
		proof.Code, err = t.ask("Code of the authenticator")
	case !w.Factor && code == "":
		proof.Password, err = t.secret("POSTERN_PASSWORD", "password", false)
	}
	if err != nil {
		return err
	}
	done, err := t.client().Renew(ctx, proof)
	if err != nil {
		return err
	}
	return t.goesOn(done.Session, done, whoamiPairs(done.Whoami)...)
}

// goesOn keeps the new token of the session that there is where the old one is, or
// prints it for programs.
func (t *talk) goesOn(token string, answer any, pairs ...pair) error {
	s, err := t.session()
	if err != nil {
		return err
	}
	if t.format == asTable && token != "" {
		if s.file == "" {
			t.say("The session goes on under another token; put it into POSTERN_SESSION:\n%s", token)
		} else if err := t.keepSession(s.file, token); err != nil {
			return err
		}
	}
	return t.show(answer, pairs...)
}

// loggedIn keeps a session for later commands, or prints it for programs.
func (t *talk) loggedIn(in control.PersonLogin) error {
	if t.format != asTable {
		return t.encode(in)
	}
	file := t.sessionFile()
	if file == "" {
		return errors.New("there is no home to leave the session in: use -o json, or --session FILE")
	}
	if err := t.keepSession(file, in.Session); err != nil {
		return err
	}
	if os.Getenv("POSTERN_SESSION") != "" {
		t.say("POSTERN_SESSION is set and goes before this session.")
	}
	t.say("The session is in %s until %s, or until: postern logout", file, instant(in.Expires))
	return t.show(in, whoamiPairs(in.Whoami)...)
}

func logoutCommand(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the session of postern login", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := t.session()
			if err != nil {
				return err
			}
			if s.token == "" {
				t.say("Nobody is logged in.")
				return nil
			}
			err = control.NewClient(t.socket).As(s.token).Logout(cmd.Context())
			var no *control.Error
			if errors.As(err, &no) && no.Noun == "ended" {
				t.say("The session had ended already.")
				err = nil
			}
			if err != nil || s.file == "" {
				return err
			}
			return os.Remove(s.file)
		},
	}
}

func whoamiCommand(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show as whom commands act, and what that allows", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := t.client().Whoami(cmd.Context())
			if err != nil {
				return err
			}
			return t.show(w, whoamiPairs(w)...)
		},
	}
}

func whoamiPairs(w control.Whoami) []pair {
	if w.Kind != "person" {
		return []pair{{"unix user", w.Unix}}
	}
	var acts []string
	for _, a := range w.Acts {
		acts = append(acts, string(a))
	}
	p := []pair{{"person", w.Address}, {"unix user", w.Unix}, {"roles", joinRoles(w.Roles)}, {"second factor", yesNo(w.Factor)},
		{"may", strings.Join(acts, " ")}, {"until", instant(w.Expires)}, {"proved until", instant(w.Fresh)}}
	if w.Must != "" {
		p = append(p, pair{"must first", mustDo[w.Must]})
	}
	if w.ID != uuid.Nil {
		p = append(p, pair{"session id", w.ID.String()})
	}
	return p
}

// mustDo is what somebody has to do before anything else.
var mustDo = map[string]string{
	"account": "set a password (postern admin password), or an authenticator or a passkey in the panel",
	"factor":  "set up a second factor in the panel, and show it",
	"passkey": "set up a passkey in the panel, and sign in with it",
}
