package main

import (
	"errors"
	"fmt"
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
		credentialCreate(t), credentialList(t), credentialShow(t), credentialRotate(t), credentialRevoke(t), credentialActivity(t), credentialReport(t))
}

// issue is the command line of credential create.
type issue struct {
	scopes, networks []string
	expires, env     string
	view, waiver     string
}

func credentialCreate(t *talk) *cobra.Command {
	var f issue
	c := &cobra.Command{
		Use:   "create AGENT --scope VERBS:ADDRESS ...",
		Short: "Issue a token to an agent; it is shown this once", Args: exactly("AGENT"),
		Long: `Issue a token to an agent; it is shown this once. The agent logs in with the address of
an inbox as its name and the token as its password. A scope names the verbs (read, flag,
append, delete, send) that the token allows on one inbox; absent means nothing.

Policy says how long a token lives at the most, 90 days at first. Only a person may let one
live longer, and says why; name and reason stand with the token and in the audit log.

With --view safe the token is shown of each message what a person would see of it, as text:
without hidden parts, comments, invisible characters and attachments other than text, and
with links spelled out. The view is fixed; a successor has the same. Policy may demand the
safe one: postern policy set inbox:ADDRESS credential-view safe.`,
		Example: "  postern credential create scout --scope read,flag,send:scout@example.com --expires 30d\n" +
			"  postern credential create till --scope send:till@example.com --expires 400d --waiver 'sealed device, serviced yearly'",
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
	c.Flags().StringVar(&f.waiver, "waiver", "", "why it may live longer than policy allows; needs a person: postern login")
	c.Flags().StringVar(&f.view, "view", "", "what it is shown of messages: original or safe (original, or what policy demands)")
	environmentFlag(c, &f.env)
	return c
}

func (f *issue) request(agent string) (control.CredentialCreate, error) {
	q := control.CredentialCreate{Agent: agent, Env: storage.Environment(f.env), Networks: []netip.Prefix{}, View: storage.View(f.view), Waiver: f.waiver}
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
	var err error
	q.Seconds, err = parseLife(f.expires)
	return q, err
}

// parseLife reads how many seconds a token is to live; none given is zero.
func parseLife(expires string) (int64, error) {
	if expires == "" {
		return 0, nil
	}
	age, err := parseAge(expires)
	if err == nil && age < time.Second {
		err = usage("--expires %s is no time at all", expires)
	}
	return int64(age / time.Second), err
}

func credentialList(t *talk) *cobra.Command {
	var q control.CredentialQuery
	c := &cobra.Command{
		Use: "list [AGENT]", Short: "List the tokens of an agent, or of all", Args: upTo("AGENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Agent = strings.Join(args, "")
			return list(t, part(t, q.Page, t.client().Credentials(cmd.Context(), q), func(c *control.Credential) uuid.UUID { return c.ID }), "There is no credential.",
				[]string{"PUBLIC ID", "AGENT", "STATE", "ENV", "VIEW", "ENDS", "LAST USED", "OPEN", "WAIVED", "SCOPES"}, func(c control.Credential) []string {
					return []string{c.PublicID, c.Agent, c.State, string(c.Env), string(c.View), instant(c.End()), instant(c.LastUsed), decimal(int64(c.Open)),
						yesNo(c.Waiver != nil), strings.Join(scopes(c), " ")}
				})
		},
	}
	pageFlags(c, &q.Page)
	return c
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

// rotation is the command line of credential rotate.
type rotation struct {
	overlap, expires, waiver, within string
	due                              bool
}

func credentialRotate(t *talk) *cobra.Command {
	var f rotation
	c := &cobra.Command{
		Use:   "rotate ID --overlap 7d | rotate --due [--within 14d] [--overlap 7d]",
		Short: "Issue a successor of a token, or of all that end soon; it is shown this once", Args: upTo("ID"),
		Long: `Issue a successor of a token, with the same scopes, networks, environment, view and
length of life; it is shown this once. Both work for the overlap. Then the old token ends, and its
live sessions with it. Whether the old one is still in use, postern credential show says.

With --due it rotates every token that ends within a time (14 days) and has no successor
yet, and prints a line of JSON for each: the agent, its logins, the new secret, and until
when the old one works ("overlap_until"). A token that cannot be rotated is a line with an
"error", and the command then ends with status 1; the others have theirs.

That is automatic rotation: the server cannot hand a secret to an agent, so a scheduler runs
this and puts each secret where its agent reads it. As a systemd timer, weekly:

  # /etc/systemd/system/postern-rotate.service
  [Service]
  Type=oneshot
  ExecStart=/bin/sh -c 'postern credential rotate --due | /usr/local/bin/put-secrets'

  # /etc/systemd/system/postern-rotate.timer
  [Timer]
  OnCalendar=weekly
  Persistent=true
  [Install]
  WantedBy=timers.target

Let --within be longer than the time between two runs and the overlap together, so that one
run may fail. A secret that went astray: revoke the successor, and rotate the old one again.`,
		Example: "  postern credential rotate 8fKq2LmX --overlap 7d\n  postern credential rotate --due --within 14d --overlap 7d",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.due {
				return t.rotateDue(cmd, args, &f)
			}
			return t.rotate(cmd, args, &f)
		},
	}
	c.Flags().StringVar(&f.overlap, "overlap", "7d", "how long both work, as 7d or 12h")
	c.Flags().StringVar(&f.expires, "expires", "", "how long the successor lives, as 90d (as long as its predecessor)")
	c.Flags().StringVar(&f.waiver, "waiver", "", "why it may live longer than policy allows; needs a person: postern login")
	c.Flags().BoolVar(&f.due, "due", false, "rotate every token that ends soon")
	c.Flags().StringVar(&f.within, "within", "14d", "with --due: those that end in this time")
	return c
}

// rotate rotates one token.
func (t *talk) rotate(cmd *cobra.Command, args []string, f *rotation) error {
	if len(args) == 0 {
		return misused(cmd, usage("the token is missing: its id or public id, or --due for all that end soon"))
	}
	overlap, err := parseAge(f.overlap)
	if err != nil {
		return misused(cmd, err)
	}
	q := control.CredentialRotate{Credential: args[0], Overlap: int64(overlap / time.Second), Waiver: f.waiver}
	if q.Seconds, err = parseLife(f.expires); err != nil {
		return misused(cmd, err)
	}
	issued, err := t.client().RotateCredential(cmd.Context(), q)
	if err != nil {
		return err
	}
	defer t.say("The secret is shown this once. The old token: postern credential show %s", args[0])
	return t.show(issued, append([]pair{{"secret", issued.Secret}}, credentialPairs(issued.Credential)...)...)
}

// rotateDue rotates all tokens that end soon, for a scheduler.
func (t *talk) rotateDue(cmd *cobra.Command, args []string, f *rotation) error {
	if len(args) > 0 || f.expires != "" || f.waiver != "" {
		return misused(cmd, usage("--due rotates all that end soon as they are: without ID, --expires and --waiver"))
	}
	within, err := parseAge(f.within)
	if err != nil {
		return misused(cmd, err)
	}
	overlap, err := parseAge(f.overlap)
	if err != nil {
		return misused(cmd, err)
	}
	rotated, failed := 0, 0
	q := control.CredentialRotateDue{Within: int64(within / time.Second), Overlap: int64(overlap / time.Second)}
	for row, err := range t.client().RotateDue(cmd.Context(), q) {
		if err != nil {
			return err
		}
		if row.Error != nil {
			failed++
		} else {
			rotated++
		}
		line, err := compact(row)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(t.out, "%s\n", line); err != nil {
			return fmt.Errorf("the secret of %s, the successor of %s, could not be written: revoke it and rotate again: %w", row.PublicID, row.Predecessor, err)
		}
	}
	t.say("%d rotated, %d failed, of the tokens that end within %s.", rotated, failed, f.within)
	if failed > 0 {
		return errors.New("not every token could be rotated: the lines with an error say why")
	}
	return nil
}

func credentialRevoke(t *talk) *cobra.Command {
	var q control.CredentialRevoke
	var since string
	c := &cobra.Command{
		Use: "revoke ID --reason TEXT [--list-since TIME]", Short: "End a token and its live sessions now", Args: exactly("ID"),
		Long: `End a token and its live sessions now. With --list-since, for a token that leaked, it then
lists all that the token did since that time: see postern credential activity. Mail that it
put into the queue before goes on its way; postern freeze agent NAME stops that too.`,
		Example: "  postern credential revoke 8fKq2LmX --reason 'stood in a public repository' --list-since 2026-01-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("--reason is missing: it stands in the audit log"))
			}
			var err error
			if q.Since, err = parseTime(since, time.Now()); err != nil {
				return misused(cmd, err)
			}
			q.Credential = args[0]
			done, err := t.client().RevokeCredential(cmd.Context(), q)
			switch {
			case err != nil:
				return err
			case t.format != asTable:
				return t.encode(done)
			case done.Activity == nil:
				return t.stopped(done.Stopped)
			}
			if err := t.stopped(done.Stopped); err != nil {
				return err
			}
			fmt.Fprintln(t.out)
			return t.activity(done.Activity)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	c.Flags().StringVar(&since, "list-since", "", "list all that it did from this time on, as 2026-01-02, or 24h for a day ago")
	return c
}

func credentialPairs(c control.Credential) []pair {
	pairs := []pair{{"id", c.ID.String()}, {"public id", c.PublicID}, {"agent", c.Agent}, {"state", c.State}, {"env", string(c.Env)}, {"view", string(c.View)}}
	for _, s := range scopes(c) {
		pairs = append(pairs, pair{"scope", s})
	}
	for _, n := range c.Networks {
		pairs = append(pairs, pair{"network", n.String()})
	}
	pairs = append(pairs, pair{"created", instant(c.Created)}, pair{"expires", instant(c.Expires)})
	if !c.Ends.IsZero() {
		pairs = append(pairs, pair{"ends", instant(c.Ends) + ", by policy"})
	}
	if w := c.Waiver; w != nil {
		pairs = append(pairs, pair{"waived by", w.Person + " at " + instant(w.At)}, pair{"waived because", w.Reason})
	}
	pairs = append(pairs, pair{"last used", instant(c.LastUsed)})
	if l := c.Login; l != nil {
		at := instant(l.At) + " at " + l.Door
		if l.Network.IsValid() {
			at += " from " + l.Network.String()
		}
		pairs = append(pairs, pair{"last login", at})
	}
	pairs = append(pairs, pair{"sessions open", decimal(int64(c.Open))})
	pairs = append(pairs, related("replaces", c.Predecessor, c.PredecessorUse)...)
	pairs = append(pairs, related("replaced by", c.Successor, c.SuccessorUse)...)
	for _, l := range c.Limits {
		pairs = append(pairs, pair{"limit", fmt.Sprintf("%s %s: %d of %d, %d left", l.Scope, l.Key, l.Used, l.Limit, l.Left)})
	}
	if !c.Revoked.IsZero() {
		pairs = append(pairs, pair{"revoked", instant(c.Revoked)}, pair{"reason", c.Reason})
	}
	return pairs
}

// related is the other token of a rotating pair, and whether it is in use. // AC-8
func related(how string, id uuid.UUID, use *control.Use) []pair {
	switch {
	case id == uuid.Nil:
		return nil
	case use == nil:
		return []pair{{how, id.String()}}
	}
	return []pair{{how, fmt.Sprintf("%s (%s), last used %s, %d sessions open, expires %s",
		use.PublicID, use.State, instant(use.LastUsed), use.Open, instant(use.Expires))}}
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
