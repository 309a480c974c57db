package main

import (
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

func credentialCommand(t *talk) *cobra.Command {
	return noun("credential", "Tokens of agents: what lets them in, and where to",
		credentialCreate(t), credentialList(t), credentialShow(t), credentialRotate(t), credentialRevoke(t))
}

// issue is the command line of credential create.
type issue struct {
	scopes, networks []string
	expires, env     string
}

func credentialCreate(t *talk) *cobra.Command {
	var f issue
	c := &cobra.Command{
		Use:   "create AGENT --scope VERBS:ADDRESS ...",
		Short: "Issue a token to an agent; it is shown this once", Args: exactly("AGENT"),
		Long: `Issue a token to an agent; it is shown this once. The agent logs in with the address of
an inbox as its name and the token as its password. A scope names the verbs (read, flag,
append, delete, send) that the token allows on one inbox; absent means nothing.`,
		Example: "  postern credential create scout --scope read,flag,send:scout@example.com --expires 30d",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.request(args[0])
			if err != nil {
				return misused(cmd, err)
			}
			issued, err := t.client().CreateCredential(cmd.Context(), q)
			if err != nil {
				return err
			}
			defer t.say("The secret is shown this once. Logins: %s", strings.Join(logins(issued.Credential), ", "))
			return t.show(issued, append([]pair{{"secret", issued.Secret}}, credentialPairs(issued.Credential)...)...)
		},
	}
	c.Flags().StringArrayVar(&f.scopes, "scope", nil, "verbs on one inbox, as read,flag,send:ADDRESS; may be repeated")
	c.Flags().StringArrayVar(&f.networks, "network", nil, "network that it may be used from, as 192.0.2.0/24; may be repeated (from anywhere)")
	c.Flags().StringVar(&f.expires, "expires", "", "how long it lives, as 90d or 12h (as long as policy allows)")
	environmentFlag(c, &f.env)
	return c
}

func (f *issue) request(agent string) (control.CredentialCreate, error) {
	q := control.CredentialCreate{Agent: agent, Env: storage.Environment(f.env), Networks: []netip.Prefix{}}
	if len(f.scopes) == 0 {
		return q, usage("--scope is missing: what the token may do, and where")
	}
	for _, s := range f.scopes {
		scope, err := parseScope(s)
		if err != nil {
			return q, err
		}
		q.Scopes = append(q.Scopes, scope)
	}
	for _, s := range f.networks {
		network, err := parseNetwork(s)
		if err != nil {
			return q, err
		}
		q.Networks = append(q.Networks, network)
	}
	if f.expires == "" {
		return q, nil
	}
	age, err := parseAge(f.expires)
	if err == nil && age < time.Second {
		err = usage("--expires %s is no time at all", f.expires)
	}
	q.Seconds = int64(age / time.Second)
	return q, err
}

func credentialList(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "list [AGENT]", Short: "List the tokens of an agent, or of all", Args: upTo("AGENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			agent := strings.Join(args, "")
			return list(t, t.client().Credentials(cmd.Context(), agent), "There is no credential.",
				[]string{"PUBLIC ID", "AGENT", "STATE", "ENV", "EXPIRES", "LAST USED", "SCOPES"}, func(c control.Credential) []string {
					return []string{c.PublicID, c.Agent, c.State, string(c.Env), instant(c.Expires), instant(c.LastUsed), strings.Join(scopes(c), " ")}
				})
		},
	}
}

func credentialShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one token, by its id or public id, without the secret", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client().Credential(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.show(c, credentialPairs(c)...)
		},
	}
}

func credentialRotate(t *talk) *cobra.Command {
	var overlap string
	c := &cobra.Command{
		Use: "rotate ID --overlap 7d", Short: "Issue a successor of a token; it is shown this once", Args: exactly("ID"),
		Long: `Issue a successor of a token, with the same scopes, networks, environment and length of
life; it is shown this once. Both work for the overlap. Then the old token ends, and its
live sessions with it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := parseAge(overlap)
			if err != nil {
				return misused(cmd, err)
			}
			issued, err := t.client().RotateCredential(cmd.Context(), control.CredentialRotate{Credential: args[0], Overlap: int64(age / time.Second)})
			if err != nil {
				return err
			}
			defer t.say("The secret is shown this once. The old token: postern credential show %s", args[0])
			return t.show(issued, append([]pair{{"secret", issued.Secret}}, credentialPairs(issued.Credential)...)...)
		},
	}
	c.Flags().StringVar(&overlap, "overlap", "7d", "how long both work, as 7d or 12h")
	return c
}

func credentialRevoke(t *talk) *cobra.Command {
	var q control.CredentialRevoke
	c := &cobra.Command{
		Use: "revoke ID --reason TEXT", Short: "End a token and its live sessions now", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("--reason is missing: it stands in the audit log"))
			}
			q.Credential = args[0]
			done, err := t.client().RevokeCredential(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.stopped(done)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

func credentialPairs(c control.Credential) []pair {
	pairs := []pair{{"id", c.ID.String()}, {"public id", c.PublicID}, {"agent", c.Agent}, {"state", c.State}, {"env", string(c.Env)}}
	for _, s := range scopes(c) {
		pairs = append(pairs, pair{"scope", s})
	}
	for _, n := range c.Networks {
		pairs = append(pairs, pair{"network", n.String()})
	}
	pairs = append(pairs, pair{"created", instant(c.Created)}, pair{"expires", instant(c.Expires)}, pair{"last used", instant(c.LastUsed)})
	if c.Predecessor != uuid.Nil {
		pairs = append(pairs, pair{"replaces", c.Predecessor.String()})
	}
	if c.Successor != uuid.Nil {
		pairs = append(pairs, pair{"replaced by", c.Successor.String()})
	}
	if !c.Revoked.IsZero() {
		pairs = append(pairs, pair{"revoked", instant(c.Revoked)}, pair{"reason", c.Reason})
	}
	return pairs
}

func scopes(c control.Credential) (all []string) {
	for _, s := range c.Scopes {
		all = append(all, s.Verbs+":"+s.Inbox)
	}
	return all
}

// logins are the names with which a token opens its inboxes.
func logins(c control.Credential) (all []string) {
	for _, s := range c.Scopes {
		all = append(all, s.Inbox)
	}
	return all
}
