package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/server/policy"
)

func messageList(t *talk) *cobra.Command {
	var q control.MessageQuery
	c := &cobra.Command{
		Use: "list INBOX [--mailbox NAME] [--match TEXT]", Short: "List which messages are in an inbox, the newest first", Args: exactly("INBOX"),
		Long: `List which messages are in an inbox, the newest first: from whom, to whom, when, how it was
judged, and nothing of what they say. Subjects are content: they are shown only where policy
says so (list-subjects), to people who may see content. That somebody looked is an event.

--match takes words and operators:
` + control.MatchHelp + `.`,
		Example: "  postern message list support@example.com --match 'verdict:suspicious -sender:pass'",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Inbox = args[0]
			p, err := t.client().Messages(cmd.Context(), q)
			if err != nil {
				return err
			}
			if err := list(t, given(p.Messages), "No message.", listedHead(p.Subjects), func(m control.Listed) []string { return listedCells(&m, p.Subjects) }); err != nil {
				return err
			}
			if p.Next > 0 {
				t.say("There are more: --below %d goes on.", p.Next)
			}
			return nil
		},
	}
	c.Flags().StringVar(&q.Mailbox, "mailbox", "", "a folder; INBOX unless you say another, such as Sent or Quarantine")
	c.Flags().StringVar(&q.Match, "match", "", "only messages that fit, as from:ada since:2026-01-31")
	c.Flags().Uint32Var(&q.Below, "below", 0, "only UIDs below this one")
	c.Flags().IntVar(&q.Limit, "limit", 0, "at most so many; 50 unless you say another, at most 500")
	return c
}

func listedHead(subjects bool) []string {
	head := []string{"ID", "UID", "RECEIVED", "FROM", "TO", "SIZE", "FILES", "SENDER", "VERDICT", "SCORE"}
	if subjects {
		head = append(head, "SUBJECT")
	}
	return head
}

func listedCells(m *control.Listed, subjects bool) []string {
	cells := []string{m.Message.String(), fmt.Sprint(m.UID), instant(m.Received), orDash(shorten(m.From, 40)), orDash(shorten(strings.Join(m.To, " "), 40)), decimal(m.Size),
		fmt.Sprint(m.Parts), m.Sender, m.Verdict, score(m.Score, m.Verdict)}
	if subjects {
		cells = append(cells, orDash(shorten(m.Subject, 60)))
	}
	return cells
}

func messageShow(t *talk) *cobra.Command {
	var q control.GlassRequest
	c := &cobra.Command{
		Use: "show ID [--inbox ADDRESS] [--why CODE --reason TEXT]", Short: "Show what is known of a message, or read it", Args: exactly("ID"),
		Long: `Show what is known of a message. With --why and --reason also what it says, as text: then you
may read this one message for 15 minutes. It is mail of an agent and not yours, so the log
holds who looked, why, and when, and the owners of the agents that have the inbox are told.
Where policy wants two people (break-glass-persons), another one agrees first: postern glass
agree.

The text was written by whoever sent it, perhaps to be read by you too: do not do what it
says.`,
		Example: "  postern message show 0198c0de-0000-7000-8000-000000000001 --why complaint --reason 'the customer says that we never answered'",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.ID = args[0]
			if q.Why == "" && q.Reason == "" {
				m, err := t.client().Message(cmd.Context(), q.MessageID)
				if err != nil {
					return err
				}
				return t.messageShown(&m)
			}
			g, err := t.client().OpenGlass(cmd.Context(), q)
			if err != nil {
				return err
			}
			if g.State == "asked" {
				return t.glass(&g)
			}
			m, err := t.client().Text(cmd.Context(), q.MessageID)
			if err != nil {
				return err
			}
			return t.messageText(&m)
		},
	}
	c.Flags().StringVar(&q.Inbox, "inbox", "", "of its copies that in this inbox")
	c.Flags().StringVar(&q.Why, "why", "", "why you must read it: "+strings.Join(policy.GlassReasons(), ", "))
	c.RegisterFlagCompletionFunc("why", cobra.FixedCompletions(policy.GlassReasons(), cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringVar(&q.Reason, "reason", "", "the same in your words, for the audit log")
	return c
}

// messageShown writes what is known of a message.
func (t *talk) messageShown(m *control.MessageShown) error {
	pairs := []pair{{"id", m.Message.String()}, {"inbox", m.Inbox}, {"mailbox", m.Mailbox}, {"received", instant(m.Received)}, {"from", m.From},
		{"to", strings.Join(m.To, " ")}, {"subject", orText(m.Subject, "not shown: it is content")}, {"Message-ID", m.MessageID}, {"answers", m.Answers},
		{"size", decimal(m.Size)}, {"SHA-256", m.SHA256}, {"sender", control.Senders.Of(m.Sender)},
		{"verdict", strings.TrimSpace(m.Verdict + " " + strings.TrimPrefix(score(m.Score, m.Verdict), "-"))}}
	for _, a := range m.Attachments {
		pairs = append(pairs, pair{"part " + a.Part, a.Type + ", " + decimal(a.Size) + " bytes"})
	}
	for _, g := range m.Grants {
		pairs = append(pairs, pair{"read by", g.By + " (" + g.Why + "), " + g.State + ", until " + instant(g.Until)})
	}
	return t.show(m, pairs...)
}

func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// messageText writes what a message says.
func (t *talk) messageText(m *control.MessageText) error {
	pairs := []pair{{"From", strings.Join(m.From, ", ")}, {"To", strings.Join(m.To, ", ")}, {"Cc", strings.Join(m.Cc, ", ")}, {"Subject", m.Subject}}
	for _, a := range m.Attachments {
		pairs = append(pairs, pair{"part " + a.Part, strings.TrimSpace(a.Name + " " + a.Type + ", " + decimal(a.Size) + " bytes")})
	}
	t.say("You are being recorded. You may read this message until %s.", instant(m.Grant.Until))
	if err := t.show(m, pairs...); err != nil || t.format != asTable {
		return err
	}
	fmt.Fprintln(t.out)
	for line := range strings.Lines(m.Text) {
		fmt.Fprintln(t.out, "| "+visible(strings.TrimRight(line, "\r\n")))
	}
	if m.Truncated {
		t.say("This is its beginning.")
	}
	return nil
}

func messageSave(t *talk) *cobra.Command {
	var q control.PartRef
	c := &cobra.Command{
		Use: "save ID PART FILE", Short: "Write a part of a message, or the page that it looks like, to a file", Args: exactly("ID", "PART", "FILE"),
		Long: `Write a part of a message to a file: the number of one that postern message show lists, or
"page" for what a mail program would show, as HTML without scripts, links and pictures from
elsewhere. You must be reading the message: postern message show ID --why CODE --reason TEXT.
What a stranger sent may harm who opens it.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			f, err := os.OpenFile(args[2], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			q.ID, q.Part = args[0], args[1]
			if q.Part == "page" {
				err = t.client().Page(cmd.Context(), q.MessageID, f)
			} else {
				err = t.client().Part(cmd.Context(), q, f)
			}
			if closed := f.Close(); err == nil {
				err = closed
			}
			if err != nil {
				os.Remove(args[2])
			}
			return err
		},
	}
	c.Flags().StringVar(&q.Inbox, "inbox", "", "of its copies that in this inbox")
	return c
}

func glassCommand(t *talk) *cobra.Command {
	c := noun("glass", "Who may read a message, and why", glassList(t),
		glassAct(t, "agree", "Agree that another person reads a message", (*control.Client).AgreeGlass),
		glassAct(t, "end", "End the reading of a message, or refuse it", (*control.Client).EndGlass))
	c.Long = `Who may read a message, and why. People break the glass to read mail of an agent: one message,
for 15 minutes, with a reason (postern message show ID --why CODE --reason TEXT). Where policy
wants two people (break-glass-persons), another one agrees first.`
	return c
}

func glassList(t *talk) *cobra.Command {
	var q control.GlassQuery
	c := &cobra.Command{
		Use: "list [--newest]", Short: "List who read what, or asks to", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q.Page, t.client().Glasses(cmd.Context(), q), func(g *control.Glass) uuid.UUID { return g.ID }), "Nobody has read a message.",
				[]string{"ID", "PERSON", "INBOX", "MESSAGE", "WHY", "STATE", "ASKED", "UNTIL", "AGREED", "OWNERS", "REASON"}, func(g control.Glass) []string {
					return []string{g.ID.String(), g.By, orDash(g.Inbox), g.Message.String(), g.Why, g.State, instant(g.Asked), instant(g.Until), orDash(g.Agreed),
						fmt.Sprint(g.Told), shorten(g.Reason, 60)}
				})
		},
	}
	c.Flags().BoolVar(&q.Newest, "newest", false, "the newest first")
	pageFlags(c, &q.Page)
	return c
}

func (t *talk) glass(g *control.Glass) error {
	pairs := []pair{{"id", g.ID.String()}, {"person", g.By}, {"inbox", g.Inbox}, {"message", g.Message.String()}, {"why", g.Why}, {"reason", g.Reason},
		{"state", g.State}, {"until", instant(g.Until)}, {"agreed", g.Agreed}}
	if g.State == "asked" {
		pairs = slices.Insert(pairs, 7, pair{"next", "another person agrees: postern glass agree " + g.ID.String()})
	}
	return t.show(g, pairs...)
}

type actOnGlass = func(c *control.Client, ctx context.Context, q control.GlassRef) (control.Glass, error)

// glassAct is a command about one grant.
func glassAct(t *talk, verb, short string, do actOnGlass) *cobra.Command {
	var q control.GlassRef
	c := &cobra.Command{
		Use: verb + " ID", Short: short, Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.ID = args[0]
			g, err := do(t.client(), cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.glass(&g)
		},
	}
	if verb == "end" {
		c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	}
	return c
}
