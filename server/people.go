package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// devAgents are the names of the laboratory's agents; each has an inbox of that
// name.
var devAgents = []string{"scout", "clerk"}

// devReason is why the laboratory's domain is taken to be ours.
const devReason = "dev.test exists in this laboratory alone"

// people sees to the domain, the inboxes and the agents. fresh says that the
// inboxes were made now.
func (l *laboratory) people(ctx context.Context) (agents []DevAgent, fresh bool, err error) {
	dir := l.server.Directory()
	org, err := dir.Organization(ctx)
	if err != nil {
		return nil, false, err
	}
	if _, err := dir.Domain(ctx, org.ID, devDomain); errors.Is(err, storage.ErrNotFound) {
		_, _, err = dir.AddDomain(ctx, storage.System, org.ID, devDomain, directory.AssumeOwned{Reason: devReason})
		if err != nil {
			return nil, false, err
		}
	} else if err != nil {
		return nil, false, err
	}
	kept, err := l.keptAgents()
	if err != nil {
		return nil, false, err
	}
	for _, name := range devAgents {
		inbox, isNew, err := l.inbox(ctx, org.ID, name+"@"+devDomain)
		if err != nil {
			return nil, false, err
		}
		fresh = fresh || isNew
		a, err := l.agent(ctx, org.ID, name, inbox, kept[name])
		if err != nil {
			return nil, false, err
		}
		agents = append(agents, a)
	}
	return agents, fresh, l.keepAgents(agents)
}

// admin sees to the laboratory's admin: an account without a password, and a
// session of it with a second factor that nobody showed. A real server makes none
// such.
func (l *laboratory) admin(ctx context.Context) (DevAdmin, error) {
	dir := l.server.Directory()
	org, err := dir.Organization(ctx)
	if err != nil {
		return DevAdmin{}, err
	}
	a := DevAdmin{Name: devAdmin}
	if b, err := os.ReadFile(l.sessionFile()); err == nil {
		a.Session = strings.TrimSpace(string(b))
	}
	if _, err := dir.PersonSession(ctx, a.Session); !errors.Is(err, directory.ErrSession) {
		return a, err
	}
	p, err := dir.Person(ctx, org.ID, devAdmin)
	if errors.Is(err, storage.ErrNotFound) {
		p, _, err = dir.CreatePerson(ctx, storage.System, org.ID, directory.PersonSpec{Address: devAdmin, Roles: []storage.PersonRole{storage.PersonAdmin}})
	}
	if err != nil {
		return a, err
	}
	_, a.Session, err = dir.StartSession(ctx, storage.System, p, directory.SessionSpec{Door: "control", Factor: true, Length: devSession, Idle: -1, Fresh: devSession})
	if err != nil {
		return a, err
	}
	return a, replaceFile(l.sessionFile(), []byte(a.Session+"\n"))
}

// devAdmin is the laboratory's person, and devSession how long the session lasts
// that is made for them.
const (
	devAdmin   = "admin@" + devDomain
	devSession = 30 * 24 * time.Hour
)

// sessionFile keeps the session in clear, as agentsFile keeps the tokens. It has
// the form in which postern login writes one.
func (l *laboratory) sessionFile() string { return filepath.Join(l.o.Dir, "session") }

// inbox finds or makes an inbox.
func (l *laboratory) inbox(ctx context.Context, org uuid.UUID, address string) (storage.InboxRecord, bool, error) {
	in, err := l.server.Directory().Inbox(ctx, org, address)
	if !errors.Is(err, storage.ErrNotFound) {
		return in, false, err
	}
	in, err = l.server.Directory().CreateInbox(ctx, storage.System, org, address, storage.Live)
	return in, true, err
}

// agent finds or makes an agent and its token. A token that was kept stays until
// it expires; one that was revoked stays revoked.
func (l *laboratory) agent(ctx context.Context, org uuid.UUID, name string, inbox storage.InboxRecord, kept DevAgent) (DevAgent, error) {
	dir := l.server.Directory()
	a, err := dir.Agent(ctx, org, name)
	if errors.Is(err, storage.ErrNotFound) {
		a, err = dir.CreateAgent(ctx, storage.System, org, name, "you@"+devDomain, "shows what an agent can do here")
	}
	if err != nil {
		return DevAgent{}, err
	}
	if t, err := directory.ParseToken(kept.Token); err == nil {
		c, err := dir.Credential(ctx, org, t.PublicID())
		if err == nil && time.Now().Before(c.Expires) {
			return kept, nil
		}
	}
	_, secret, err := dir.CreateCredential(ctx, storage.System, org, directory.CredentialSpec{
		Agent: a.ID,
		Scopes: []storage.Scope{{Inbox: inbox.ID,
			Verbs: storage.Read | storage.Flag | storage.Append | storage.Delete | storage.Send}},
	})
	return DevAgent{Name: name, Inbox: inbox.Address, Login: inbox.Address, Token: secret}, err
}

// agentsFile keeps the laboratory's tokens in clear, readable to its owner
// alone, so that scripts which have them work after the next start. A real
// server keeps none anywhere.
func (l *laboratory) agentsFile() string { return filepath.Join(l.o.Dir, "agents.json") }

func (l *laboratory) keptAgents() (map[string]DevAgent, error) {
	b, err := os.ReadFile(l.agentsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []DevAgent
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	kept := map[string]DevAgent{}
	for _, a := range list {
		kept[a.Name] = a
	}
	return kept, nil
}

func (l *laboratory) keepAgents(agents []DevAgent) error {
	b, err := json.MarshalIndent(agents, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(l.agentsFile(), append(b, '\n'))
}
