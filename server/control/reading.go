package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"postern/server/message"
	"postern/server/rendition"
	"postern/storage"
	"postern/storage/audit"
)

// Letters are what the owners of agents are told about a grant, ready to be stored in
// its transaction. Store may run more than once; Discard frees what was prepared.
type Letters struct {
	Count   int // of those who are told
	Store   func(tx *storage.Tx) error
	Discard func()
}

// Attachment is a part of a message that a mail program offers to save.
type Attachment struct {
	Part string `json:"part"` // IMAP section number
	Type string `json:"type"`
	Name string `json:"name,omitempty"` // a stranger's text
	Size int64  `json:"size"`           // in its transfer encoding
}

// MessageText is a message as a person reads it.
type MessageText struct {
	Grant       Glass        `json:"grant"`
	Subject     string       `json:"subject"`
	From        []string     `json:"from"` // with names, which are a stranger's text
	To          []string     `json:"to"`
	Cc          []string     `json:"cc"`
	ReplyTo     []string     `json:"reply_to"`
	Date        time.Time    `json:"date,omitzero"`
	Text        string       `json:"text"` // what a person would see of it
	Truncated   bool         `json:"truncated,omitempty"`
	Attachments []Attachment `json:"attachments"`
}

// PartRef names a part of a message.
type PartRef struct {
	MessageID
	Part string `json:"part"` // IMAP section number, of those that a text lists
}

// maxShownText bounds what of a message a person is shown as text, in bytes.
const maxShownText = 256 << 10

func (s *Server) readingCommands() {
	answer(s, "message.text", s.messageText)
	stream(s, "message.page", s.messagePage)
	stream(s, "message.part", s.messagePart)
}

// attachments lists the files of a message.
func attachments(root *message.Part) []Attachment {
	all := []Attachment{}
	for _, f := range rendition.Files(root) {
		all = append(all, Attachment{Part: f.Section, Type: f.Part.MediaType(), Name: f.Part.Filename(), Size: f.Part.Body.Len()})
	}
	return all
}

// sight is a message that the caller may read now.
type sight struct {
	grant  storage.Glass
	m      waiting
	body   *storage.Body
	source rendition.Source
}

var errGlass = &Error{Code: Refused, Noun: "glass", Message: "you may not read this message, or not any more: say why you must (postern message show ID --why CODE --reason TEXT)"}

// see finds the caller's grant for a message, and leaves the event of the sight before
// the first byte: without a grant, or when its time is over, nothing is opened. // AC-17
func (s *Server) see(ctx context.Context, by caller, q MessageID, class string) (v sight, err error) {
	if _, v.m, err = s.findMessage(ctx, by, q); err != nil {
		return v, err
	}
	g, ok, err := s.ownGlass(ctx, by, v.m.m.ID, v.m.inbox.ID())
	if err != nil {
		return v, err
	}
	if !ok || g.State(s.Now()) != storage.GlassOpen {
		return v, errGlass
	}
	v.grant = g
	if err := v.open(ctx); err != nil {
		return v, err
	}
	if err := s.recordSight(ctx, by, &v, class); err != nil {
		v.body.Close()
		return v, err
	}
	return v, nil
}

// open reads the message as its mailbox shows it.
func (v *sight) open(ctx context.Context) (err error) {
	if v.body, err = v.m.inbox.OpenBody(ctx, &v.m.m); err != nil {
		return err
	}
	v.source, err = sourceOf(v.body, v.m.m.Content)
	if err != nil {
		v.body.Close()
	}
	return err
}

// sourceOf is a message as its mailbox shows it, for those who render.
func sourceOf(body *storage.Body, c *storage.Content) (rendition.Source, error) {
	o, err := message.DecodeOverlay(c.Overlay)
	if err != nil {
		return rendition.Source{}, errors.Join(storage.ErrCorrupt, err)
	}
	parsed, err := message.DecodeStructure(c.Structure)
	if err != nil {
		return rendition.Source{}, errors.Join(storage.ErrCorrupt, err)
	}
	return rendition.Source{View: o.View(body, body.Size()), Structure: parsed, Block: int64(len(o.Prefix))}, nil
}

// recordSight writes the event of one sight, durable before its first byte
// (invariant 3). The grant is read again in between: it may have ended.
func (s *Server) recordSight(ctx context.Context, by caller, v *sight, class string) error {
	return s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		g, err := tx.Glass(v.grant.Org, v.grant.ID)
		if err != nil {
			return err
		}
		if g.State(tx.Now()) != storage.GlassOpen {
			return errGlass
		}
		e := audit.Event{Verb: audit.GlassViewed, Outcome: audit.OK, Org: v.grant.Org, Inbox: v.grant.Inbox, Object: v.grant.Message,
			Fields: audit.Fields{audit.ID(audit.KeyGlass, v.grant.ID), audit.Word(audit.KeyClass, class), audit.Digest(audit.KeySHA256, v.m.m.Content.SHA256[:])}}
		if id := v.m.m.Content.MessageID; id != "" {
			e.Personal = append(e.Personal, audit.Text(audit.KeyMessageID, id))
		}
		tx.Record(e)
		return nil
	})
}

// Text shows what a message says, to who has a grant.
func (c *Client) Text(ctx context.Context, q MessageID) (MessageText, error) {
	return ask[MessageID, MessageText](ctx, c, "message.text", q)
}

func (s *Server) messageText(ctx context.Context, by caller, q MessageID) (MessageText, error) {
	v, err := s.see(ctx, by, q, "text")
	if err != nil {
		return MessageText{}, err
	}
	defer v.body.Close()
	e := &v.source.Structure.Envelope
	t := MessageText{Grant: s.glassView(&v.grant, v.m.inbox.Address()), Subject: message.DecodeWords(e.Subject), Date: e.Time,
		From: named(e.From), To: named(e.To), Cc: named(e.Cc), ReplyTo: named(e.ReplyTo), Attachments: attachments(&v.source.Structure.Root)}
	t.Text, t.Truncated, err = rendition.Text(v.source, maxShownText)
	return t, err
}

// named are the addresses of a list as a mail program shows them.
func named(list []message.Address) []string {
	all := []string{}
	for _, a := range list {
		switch {
		case a.IsGroupStart() || a.IsGroupEnd() || len(all) >= maxShownTo:
		case a.Name != "":
			all = append(all, message.DecodeWords(a.Name)+" <"+a.Mailbox+"@"+a.Host+">")
		default:
			all = append(all, a.Mailbox+"@"+a.Host)
		}
	}
	return all
}

// Page writes what a mail program would show of a message, as HTML for a frame under
// [rendition.PagePolicy], to who has a grant.
func (c *Client) Page(ctx context.Context, q MessageID, w io.Writer) error {
	return c.copy(ctx, "message.page", q, w)
}

// copy sends a command whose answer is bytes.
func (c *Client) copy(ctx context.Context, name string, q any, w io.Writer) error {
	resp, err := c.post(ctx, name, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return ended(resp, err)
}

func (s *Server) messagePage(ctx context.Context, by caller, q MessageID, w io.Writer) error {
	v, err := s.see(ctx, by, q, "html")
	if err != nil {
		return err
	}
	defer v.body.Close()
	page, err := rendition.Page(v.source)
	if err != nil {
		return err
	}
	_, err = w.Write(page)
	return err
}

// Part writes a part of a message, its transfer encoding removed, to who has a grant.
func (c *Client) Part(ctx context.Context, q PartRef, w io.Writer) error {
	return c.copy(ctx, "message.part", q, w)
}

func (s *Server) messagePart(ctx context.Context, by caller, q PartRef, w io.Writer) error {
	v, err := s.see(ctx, by, q.MessageID, "part")
	if err != nil {
		return err
	}
	defer v.body.Close()
	for _, f := range rendition.Files(&v.source.Structure.Root) {
		if f.Section == q.Part {
			_, err := io.Copy(w, message.PartReader(v.source.View, f.Part))
			return err
		}
	}
	return missing(storage.ErrNotFound, "part", fmt.Sprintf("%.40s", q.Part))
}
