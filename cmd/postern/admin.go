package main

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

func adminCommand(t *talk) *cobra.Command {
	c := noun("admin", "People with accounts: admins, operators, reviewers, auditors",
		adminCreate(t), adminList(t), adminShow(t), adminRoles(t), adminDisable(t), adminEnable(t), adminFactor(t), adminPassword(t), adminInvite(t), adminRecovery(t), adminPasskeys(t), adminSessions(t))
	c.Long = `People with accounts. An admin may do all; an operator runs the installation; a reviewer
releases what waits for a person; an auditor sees evidence and never content. Until there is
an account, whoever may use the control socket makes the first, an admin.`
	return c
}

func adminCreate(t *talk) *cobra.Command {
	var q control.PersonCreate
	var roles []string
	c := &cobra.Command{
		Use: "create EMAIL --role ROLE ...", Short: "Give a person an account; the second factor is shown this once", Args: exactly("EMAIL"),
		Long: `Give a person an account. The password is asked for, or taken from POSTERN_PASSWORD or the
file that POSTERN_PASSWORD_FILE names: 12 to 128 bytes. The second factor (TOTP) and ten
recovery codes are shown this once. With --invite there is a link instead, which works once: the
person sets a password, an authenticator or a passkey there, which nobody else has seen.`,
		Example: "  postern admin create ada@example.com --role admin",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(roles) == 0 {
				return misused(cmd, usage("--role is missing: admin, operator, reviewer or auditor"))
			}
			q.Address, q.Roles = args[0], parseRoles(roles)
			if !q.Invite {
				if q.Password, err = t.secret("POSTERN_PASSWORD", "new password", true); err != nil {
					return err
				}
			}
			made, err := t.client().CreatePerson(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.enrolled(made)
		},
	}
	c.Flags().StringSliceVar(&roles, "role", nil, "admin, operator, reviewer or auditor; may be repeated")
	c.Flags().BoolVar(&q.Invite, "invite", false, "make a link by which the person sets up how they sign in")
	c.Flags().BoolVar(&q.WithoutFactor, "without-factor", false, "no second factor: nothing that is reserved for people is allowed")
	return c
}

// enrolled shows a person, and the second factor this once.
func (t *talk) enrolled(e control.Enrolled) error {
	pairs := personPairs(e.Person)
	if e.Invitation != nil {
		return t.invited(*e.Invitation, e, pairs...)
	}
	if e.Secret != "" {
		defer t.say("The second factor is shown this once: put the secret or the URI into an authenticator, and keep\n" +
			"the recovery codes elsewhere. Then: postern login --admin " + e.Address)
		pairs = append(pairs, pair{"TOTP secret", e.Secret}, pair{"TOTP URI", e.URI}, pair{"recovery codes", strings.Join(e.Factor.Recovery, " ")})
	}
	return t.show(e, pairs...)
}

func adminList(t *talk) *cobra.Command {
	var q control.Page
	c := &cobra.Command{
		Use: "list", Short: "List who has an account", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q, t.client().People(cmd.Context(), q), func(p **control.Person) uuid.UUID { return (*p).ID }), "Nobody has an account. The first: postern admin create EMAIL --role admin",
				[]string{"PERSON", "ROLES", "STATE", "FACTOR", "CREATED"}, func(p *control.Person) []string {
					return []string{p.Address, joinRoles(p.Roles), p.State, yesNo(p.Factor), instant(p.Created)}
				})
		},
	}
	pageFlags(c, &q)
	return c
}

func adminShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show EMAIL", Short: "Show one account", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.person(t.client().Person(cmd.Context(), args[0]))
		},
	}
}

func adminRoles(t *talk) *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use: "roles EMAIL --role ROLE ...", Short: "Give a person these roles and no others", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(roles) == 0 {
				return misused(cmd, usage("--role is missing: to keep a person out, disable the account"))
			}
			return t.person(t.client().SetRoles(cmd.Context(), control.PersonChange{Person: args[0], Roles: parseRoles(roles)}))
		},
	}
	c.Flags().StringSliceVar(&roles, "role", nil, "admin, operator, reviewer or auditor; may be repeated")
	return c
}

func adminDisable(t *talk) *cobra.Command {
	q := control.PersonChange{}
	c := &cobra.Command{
		Use: "disable EMAIL --reason TEXT", Short: "Keep a person out; their sessions end now", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("--reason is missing: it stands in the audit log"))
			}
			q.Person = args[0]
			return t.person(t.client().DisablePerson(cmd.Context(), q))
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

func adminEnable(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "enable EMAIL", Short: "Let a person in again", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.person(t.client().EnablePerson(cmd.Context(), args[0]))
		},
	}
}

func adminFactor(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "reset-factor EMAIL", Short: "Give a person a new second factor; their sessions end", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := t.client().ResetFactor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.enrolled(e)
		},
	}
}

func adminPassword(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "password EMAIL", Short: "Change a password; the person's other sessions end", Args: exactly("EMAIL"),
		Long: `Change a password: one's own, with the present one, or as an admin anybody's. They are asked
for, or taken from POSTERN_PASSWORD and POSTERN_NEW_PASSWORD, or the files that these names with
_FILE name.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			q := control.PasswordChange{Person: args[0]}
			own, err := t.isSelf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if own {
				if q.Old, err = t.secret("POSTERN_PASSWORD", "present password", false); err != nil {
					return err
				}
			}
			if q.New, err = t.secret("POSTERN_NEW_PASSWORD", "new password", true); err != nil {
				return err
			}
			done, err := t.client().ChangePassword(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.goesOn(done.Session, done, personPairs(done.Person)...)
		},
	}
}

// isSelf reports whether an account is that of who asks.
func (t *talk) isSelf(ctx context.Context, person string) (bool, error) {
	w, err := t.client().Whoami(ctx)
	return err == nil && strings.EqualFold(w.Address, person), err
}

func adminSessions(t *talk) *cobra.Command {
	var revoke string
	c := &cobra.Command{
		Use: "sessions EMAIL [--revoke ID]", Short: "List a person's sessions, or end one", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if revoke != "" {
				return t.client().RevokeSession(cmd.Context(), control.SessionRef{Person: args[0], Session: revoke})
			}
			return list(t, t.client().PersonSessions(cmd.Context(), args[0]), "No session lives.",
				[]string{"ID", "DOOR", "FACTOR", "CREATED", "LAST USED", "UNTIL", "FROM", "CLIENT"}, func(s control.PersonSession) []string {
					return []string{s.ID.String(), s.Door, yesNo(s.Factor), instant(s.Created), instant(s.LastUsed), instant(s.Expires), s.Network, s.Client}
				})
		},
	}
	c.Flags().StringVar(&revoke, "revoke", "", "end the session with this id")
	return c
}

func adminInvite(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "invite EMAIL", Short: "Make a link by which a person sets up how they sign in, once", Args: exactly("EMAIL"),
		Long: `Make a link by which a person sets up how they sign in: for a new account, or for somebody who lost
everything. It works once, for 72 hours; a newer one ends it. Give it to that person alone.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := t.client().Invite(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.invited(in, in)
		},
	}
}

// invited shows a link this once.
func (t *talk) invited(in control.Invitation, answer any, pairs ...pair) error {
	t.say("The link is shown this once. Give it to %s alone.", in.Person)
	link := in.Link
	if link == "" {
		link = in.Path
	}
	return t.show(answer, append(pairs, pair{"link", link}, pair{"until", instant(in.Expires)})...)
}

func adminRecovery(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "recovery-codes", Short: "Make new recovery codes of your own, shown this once; the old ones end", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := t.client().RenewRecovery(cmd.Context())
			if err != nil {
				return err
			}
			return t.show(f, pair{"recovery codes", strings.Join(f.Recovery, " ")})
		},
	}
}

func adminPasskeys(t *talk) *cobra.Command {
	var remove string
	c := &cobra.Command{
		Use: "passkeys EMAIL [--remove NAME]", Short: "List a person's passkeys, or take one away; their sessions end", Args: exactly("EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove != "" {
				return t.client().RemovePasskey(cmd.Context(), control.PasskeyRef{Person: args[0], Passkey: remove})
			}
			return list(t, t.client().Passkeys(cmd.Context(), args[0]), "There is no passkey. They are added in the panel, under \"Your account\".",
				[]string{"ID", "NAME", "STATE", "HOST", "CREATED", "LAST USED"}, func(k control.Passkey) []string {
					return []string{k.ID.String(), k.Name, k.State, k.Host, instant(k.Created), instant(k.LastUsed)}
				})
		},
	}
	c.Flags().StringVar(&remove, "remove", "", "take away the passkey with this name or id")
	return c
}

// person shows an account, or says why there is nothing to show.
func (t *talk) person(p control.Person, err error) error {
	if err != nil {
		return err
	}
	return t.show(p, personPairs(p)...)
}

func personPairs(p control.Person) []pair {
	pairs := []pair{{"person", p.Address}, {"roles", joinRoles(p.Roles)}, {"state", p.State}, {"second factor", yesNo(p.Factor)},
		{"recovery codes left", decimal(int64(p.Recovery))}, {"passkeys", decimal(int64(p.Passkeys))}, {"created", instant(p.Created)}, {"id", p.ID.String()}}
	if !p.Disabled.IsZero() {
		pairs = append(pairs, pair{"disabled", instant(p.Disabled)}, pair{"reason", p.Reason})
	}
	return pairs
}

func parseRoles(words []string) (roles []storage.PersonRole) {
	for _, w := range words {
		roles = append(roles, storage.PersonRole(w))
	}
	return roles
}

func joinRoles(roles []storage.PersonRole) string {
	var words []string
	for _, r := range roles {
		words = append(words, string(r))
	}
	return strings.Join(words, ",")
}
