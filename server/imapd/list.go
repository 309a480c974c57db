package imapd

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
)

// List is LIST with its extensions (RFC 9051, section 6.3.9) and LSUB. Names may be seen by whoever may read, and by
// whoever may append: they must know where to. // AC-4
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if !s.principal.May(storage.Append) {
		if err := s.may("LIST", storage.Read); err != nil {
			return err
		}
	}
	if len(patterns) == 0 {
		// An empty pattern asks for the delimiter.
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	all, err := s.mailboxes()
	if err != nil {
		return s.fault(err)
	}
	ask := listing{all: all, o: o}
	for _, p := range patterns {
		ask.patterns = append(ask.patterns, newPattern(ref, p))
	}
	for i := range all {
		data := ask.entry(&all[i])
		if data == nil {
			continue
		}
		if o.ReturnStatus != nil && s.principal.May(storage.Read) {
			if data.Status, err = s.status(&all[i], o.ReturnStatus); err != nil {
				return err
			}
		}
		if err := w.WriteList(data); err != nil {
			return s.fault(err)
		}
	}
	return nil
}

// mailboxes lists those that an agent may know of.
func (s *session) mailboxes() ([]storage.Mailbox, error) {
	all, err := s.inbox.Mailboxes(s.ctx)
	return slices.DeleteFunc(all, func(b storage.Mailbox) bool { return b.Role == storage.RoleQuarantine }), err
}

// A listing is one LIST command.
type listing struct {
	all      []storage.Mailbox
	patterns []pattern
	o        *imap.ListOptions
}

// entry is what LIST says of a mailbox, or nil.
func (l *listing) entry(box *storage.Mailbox) *imap.ListData {
	if !l.matches(box.Name) || l.o.SelectSpecialUse && specialUse(box.Role) == "" {
		return nil
	}
	data := &imap.ListData{Mailbox: box.Name, Delim: delimiter}
	children, subscribed := l.children(box.Name)
	if l.o.SelectSubscribed && !box.Subscribed {
		// RFC 5258, section 3.5: named for the sake of what is below it and would not be listed itself.
		if !l.o.SelectRecursiveMatch || !subscribed {
			return nil
		}
	}
	if l.o.SelectRecursiveMatch && subscribed {
		data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
	}
	if children {
		data.Attrs = append(data.Attrs, imap.MailboxAttrHasChildren)
	} else {
		data.Attrs = append(data.Attrs, imap.MailboxAttrHasNoChildren)
	}
	if use := specialUse(box.Role); use != "" {
		data.Attrs = append(data.Attrs, use)
	}
	if box.Subscribed && (l.o.SelectSubscribed || l.o.ReturnSubscribed) {
		data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
	}
	return data
}

func (l *listing) matches(name string) bool {
	return slices.ContainsFunc(l.patterns, func(p pattern) bool { return p.matches(name) })
}

// children says whether a mailbox has any, and whether one that the pattern does not reach is subscribed.
func (l *listing) children(name string) (any, subscribed bool) {
	for i := range l.all {
		if b := &l.all[i]; below(b.Name, name) {
			any = true
			subscribed = subscribed || b.Subscribed && !l.matches(b.Name)
		}
	}
	return any, subscribed
}
