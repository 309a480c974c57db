package setup

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// How long a link waits, and how long who used it may go on.
const (
	LinkTime    = 30 * time.Minute
	SessionTime = 4 * time.Hour
)

// A link's text is 60 random bits in three groups of four, of an alphabet without
// letters that look like digits. At the rate that one network may guess at, one of a
// million networks finds it in its half hour with a chance of one in a thousand million.
const (
	linkAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	linkLength   = 12
	linkGroup    = 4
)

// ErrLink: the link leads nowhere. Whether it was used, is over or was never made is for
// nobody to know. // AC-12
var ErrLink = errors.New("setup: this link leads nowhere: it was used already, its time is over, or it was never one; " +
	"who runs this server makes another: postern setup-link")

// newLink makes the text of a link.
func newLink() string {
	var b [linkLength]byte
	rand.Read(b[:])
	var text strings.Builder
	for i, c := range b {
		if i > 0 && i%linkGroup == 0 {
			text.WriteByte('-')
		}
		text.WriteByte(linkAlphabet[c%32]) // 32 divides 256: uniform
	}
	return text.String()
}

// plainLink is a link's text as it is compared: somebody may have typed it.
func plainLink(text string) string {
	if len(text) > 64 {
		return ""
	}
	return strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
}

// open says why nobody may come by a link now: nil when they may.
func (g *Guide) open(ctx context.Context, org uuid.UUID) error {
	state, err := g.State(ctx, org)
	switch {
	case err != nil:
		return err
	case !g.o.Managed:
		return fmt.Errorf("%w: the configuration names this server: there is nothing to set up", directory.ErrState)
	case state.Anybody:
		return fmt.Errorf("%w: somebody has an account: sign in to the panel, where the set-up goes on", directory.ErrState)
	case !state.Needed:
		return fmt.Errorf("%w: the set-up has ended; the first account is made by: postern admin create EMAIL --role admin", directory.ErrState)
	}
	return nil
}

// Link makes a link by which one person may go on with the set-up; the one before is
// dead. Its text is returned this once.
func (g *Guide) Link(ctx context.Context, actor audit.Actor, org uuid.UUID) (text string, ends time.Time, err error) {
	if err := g.open(ctx, org); err != nil {
		return "", ends, err
	}
	text = newLink()
	err = g.change(ctx, actor, org, audit.SetupLink, func(tx *storage.Tx, e *audit.Event, u *storage.Setup) error {
		ends = tx.Now().Add(LinkTime)
		u.Link, u.LinkEnds = g.store.HashLink(plainLink(text)), ends
		e.Fields = append(e.Fields, audit.Time(audit.KeyExpires, ends))
		return nil
	})
	return text, ends, err
}

// Enter uses a link up, and returns the token of a session, this once. Every refusal is
// ErrLink, unless the log cannot be written.
func (g *Guide) Enter(ctx context.Context, network netip.Addr, org uuid.UUID, text string) (token string, err error) {
	if g.dir.Throttled(network) {
		g.dir.Refuse(network, "SETUP", "network-failures")
		return "", ErrLink
	}
	if err := g.open(ctx, org); err != nil {
		return "", g.refuse(network, err)
	}
	token = directory.NewSessionToken()
	id := storage.NewID()
	actor := audit.Actor{Kind: audit.Founder, Session: id, Network: network}
	hash := g.store.HashLink(plainLink(text))
	err = g.change(ctx, actor, org, audit.SetupEnter, func(tx *storage.Tx, e *audit.Event, u *storage.Setup) error {
		if len(u.Link) == 0 || !hmac.Equal(u.Link, hash) || !tx.Now().Before(u.LinkEnds) {
			return ErrLink
		}
		u.Link, u.LinkEnds = nil, time.Time{}
		u.Session, u.SessionID, u.SessionEnds = g.store.HashSession(token), id, tx.Now().Add(SessionTime)
		e.Fields = append(e.Fields, audit.ID(audit.KeySession, id), audit.Time(audit.KeyExpires, u.SessionEnds))
		return nil
	})
	if err != nil {
		return "", g.refuse(network, err)
	}
	g.o.Used()
	return token, nil
}

// refuse counts a link that led nowhere. What failed here is nobody's guess.
func (g *Guide) refuse(network netip.Addr, err error) error {
	if !errors.Is(err, ErrLink) && !errors.Is(err, directory.ErrState) && !errors.Is(err, storage.ErrConflict) {
		return err
	}
	g.dir.Failed(network)
	g.dir.Refuse(network, "SETUP", "link")
	return ErrLink
}

// Session finds who used a link, by the token: directory.ErrSession when it is of no
// session that lives.
func (g *Guide) Session(ctx context.Context, network netip.Addr, org uuid.UUID, token string) (audit.Actor, error) {
	u, err := g.store.Setup(ctx, org)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return audit.Actor{}, err
	}
	if len(u.Session) == 0 || !hmac.Equal(u.Session, g.store.HashSession(token)) || !g.now().Before(u.SessionEnds) {
		return audit.Actor{}, directory.ErrSession
	}
	if err := g.open(ctx, org); errors.Is(err, directory.ErrState) {
		return audit.Actor{}, directory.ErrSession
	} else if err != nil {
		return audit.Actor{}, err
	}
	return audit.Actor{Kind: audit.Founder, Session: u.SessionID, Network: network}, nil
}
