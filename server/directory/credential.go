package directory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// maxWaivedAge is how long a credential may live when a person has waived what
// policy says: it has an end all the same. // AC-7
const maxWaivedAge = 5 * 366 * 24 * time.Hour

// Bounds of one credential: a login goes through its scopes.
const (
	maxScopes   = 50
	maxPrefixes = 50
)

// CredentialSpec says what a credential is to be.
type CredentialSpec struct {
	Agent    uuid.UUID
	Scopes   []storage.Scope
	Networks []netip.Prefix      // empty: from anywhere
	Env      storage.Environment // empty: live
	View     storage.View        // empty: the original, or the safe one where policy demands it
	Expires  time.Time           // zero: as late as policy allows
	// Waiver is why it is to live longer than policy allows, in the words of the
	// person who asks for it. It is recorded only where it is needed.
	Waiver string
}

// CreateCredential makes a credential for one agent and returns its secret,
// which is shown this once and stored as a keyed hash. // AC-1, AC-6
func (d *Directory) CreateCredential(ctx context.Context, actor audit.Actor, org uuid.UUID, spec CredentialSpec) (storage.Credential, string, error) {
	agent, err := d.activeAgent(ctx, org, spec.Agent)
	if err != nil {
		return storage.Credential{}, "", err
	}
	spec, waived, err := d.completeSpec(ctx, actor, org, spec)
	if err != nil {
		return storage.Credential{}, "", err
	}
	token := NewToken(spec.Env)
	var c storage.Credential
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		c = d.newCredential(org, agent.ID, token, spec)
		c.Waiver = waived
		e := tx.Record(audit.Event{Verb: audit.CredentialCreate, Outcome: audit.OK, Fields: specFields(c), Personal: audit.Fields{
			audit.Text(audit.KeyName, agent.Name), audit.Text(audit.KeyAfter, describe(c))}})
		if err := tx.CreateCredential(e, &c); err != nil {
			return err
		}
		recordWaiver(tx, &c)
		return nil
	})
	if err != nil {
		return storage.Credential{}, "", taken(err, "credential")
	}
	return c, token.Secret(), nil
}

// newCredential is the record of a credential that is yet to be stored.
func (d *Directory) newCredential(org, agent uuid.UUID, token Token, spec CredentialSpec) storage.Credential {
	return storage.Credential{
		Head: storage.Head{Org: org}, Agent: agent,
		PublicID: token.PublicID(), TokenHash: d.store.HashToken(token.Secret()),
		Scopes: spec.Scopes, Networks: spec.Networks, Env: spec.Env, View: spec.View,
		Expires: spec.Expires.UTC().Truncate(time.Microsecond),
	}
}

// completeSpec fills in defaults, merges scopes of one inbox, and holds the
// credential to the rules: it ends, in time, it opens something, and what it
// opens is of its own environment.
// The waiver is nil where none is needed.
func (d *Directory) completeSpec(ctx context.Context, actor audit.Actor, org uuid.UUID, spec CredentialSpec) (CredentialSpec, *storage.Waiver, error) {
	if spec.Env == "" {
		spec.Env = storage.Live
	}
	spec.Scopes = mergeScopes(spec.Scopes)
	if len(spec.Scopes) == 0 || len(spec.Scopes) > maxScopes || len(spec.Networks) > maxPrefixes {
		return spec, nil, fmt.Errorf("%w: a credential has 1 to %d scopes and up to %d networks", ErrInvalid, maxScopes, maxPrefixes)
	}
	for _, s := range spec.Scopes {
		in, err := d.store.InboxRecord(ctx, org, s.Inbox)
		switch {
		case err != nil:
			return spec, nil, err
		case s.Verbs == 0:
			return spec, nil, fmt.Errorf("%w: a scope without verbs", ErrInvalid)
		case in.Env != spec.Env:
			return spec, nil, fmt.Errorf("%w: a %s credential opens no %s inbox", ErrRefused, spec.Env, in.Env) // AC-14
		}
	}
	terms, err := d.Terms(ctx, &storage.Credential{Head: storage.Head{Org: org}, Agent: spec.Agent, Scopes: spec.Scopes})
	if err != nil {
		return spec, nil, err
	}
	if spec.View, err = judgeView(spec.View, terms); err != nil {
		return spec, nil, err
	}
	now := d.now()
	if spec.Expires.IsZero() {
		spec.Expires = now.Add(terms.MaxAge)
	}
	waived, err := d.judgeAge(actor, spec.Waiver, spec.Expires.Sub(now), terms.MaxAge)
	return spec, waived, err
}

// judgeView holds what a credential is to be shown to what policy allows, and fills in
// what nobody asked for. // CO-6
func judgeView(asked storage.View, terms Terms) (storage.View, error) {
	switch {
	case asked == "" && terms.SafeView, asked == storage.ViewSafe:
		return storage.ViewSafe, nil
	case asked != "" && asked != storage.ViewOriginal:
		return asked, fmt.Errorf("%w: %q is no view: use original or safe", ErrInvalid, asked)
	case terms.SafeView:
		return asked, fmt.Errorf("%w: policy demands the safe view (credential-view): issue one with that view", ErrRefused)
	}
	return storage.ViewOriginal, nil
}

// judgeAge holds how long a credential is to live to what policy allows. A person
// may waive that, with a reason. // AC-7
func (d *Directory) judgeAge(actor audit.Actor, reason string, age, most time.Duration) (*storage.Waiver, error) {
	switch {
	case age <= 0:
		return nil, fmt.Errorf("%w: the credential would have ended already", ErrInvalid)
	case age <= most:
		return nil, nil
	case reason == "":
		return nil, fmt.Errorf("%w: a credential lives %s at the most: ask for less, or have a person waive that with a reason", ErrRefused, days(most))
	case actor.Kind != audit.Person:
		return nil, fmt.Errorf("%w: only a person waives that a credential lives %s at the most: postern login", ErrRefused, days(most))
	case age > maxWaivedAge:
		return nil, fmt.Errorf("%w: with a waiver too, a credential lives %s at the most", ErrRefused, days(maxWaivedAge))
	}
	return &storage.Waiver{Person: actor.ID, Name: actor.Name, Reason: reason, At: d.now().UTC().Truncate(time.Microsecond)}, nil
}

// days is a length of time as people count it.
func days(d time.Duration) string {
	if n := d / (24 * time.Hour); n > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", n)
	}
	return d.String()
}

// recordWaiver records, in the transaction that makes a credential, who let it
// live longer than policy allows, and why. // AC-7
func recordWaiver(tx *storage.Tx, c *storage.Credential) {
	if c.Waiver == nil {
		return
	}
	tx.Record(audit.Event{
		Verb: audit.CredentialWaive, Outcome: audit.OK, Org: c.Org, Agent: c.Agent, Credential: c.ID, Object: c.ID,
		Fields:   audit.Fields{audit.Word(audit.KeyKeyID, c.PublicID), audit.Time(audit.KeyExpires, c.Expires)},
		Personal: audit.Fields{audit.Text(audit.KeyName, c.Waiver.Name), audit.Text(audit.KeyNote, c.Waiver.Reason)},
	})
}

func mergeScopes(scopes []storage.Scope) []storage.Scope {
	var merged []storage.Scope
next:
	for _, s := range scopes {
		for i := range merged {
			if merged[i].Inbox == s.Inbox {
				merged[i].Verbs |= s.Verbs
				continue next
			}
		}
		merged = append(merged, s)
	}
	return merged
}

// RevokeCredential ends a credential and its live sessions, and says how many
// sessions were cut. It acts in memory before it records: if the record fails,
// the credential stays dead in this process and the error says so. // AC-9
func (d *Directory) RevokeCredential(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) (cut int, err error) {
	was, err := d.store.Credential(ctx, org, id)
	if err != nil {
		return 0, err
	}
	if !was.Revoked.IsZero() {
		return 0, fmt.Errorf("%w: the credential is revoked", ErrState)
	}
	ended := d.registry.cut(id, "revoked").wait()
	d.throttle.forget(was.TokenHash)
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		c := was
		c.Revoked, c.Reason = tx.Now(), reason
		e := tx.Record(audit.Event{Verb: audit.CredentialRevoke, Outcome: audit.OK,
			Fields: append(audit.Fields{audit.Word(audit.KeyState, "revoked")}, ended.fields()...),
			Personal: audit.Fields{audit.Text(audit.KeyNote, reason),
				audit.Text(audit.KeyBefore, describe(was)), audit.Text(audit.KeyAfter, describe(c))}})
		return tx.UpdateCredential(e, &c)
	})
	return ended.Sessions, err
}

// Credential finds a credential of an organization by its id or public id.
func (d *Directory) Credential(ctx context.Context, org uuid.UUID, ref string) (storage.Credential, error) {
	if id, err := uuid.Parse(ref); err == nil {
		return d.store.Credential(ctx, org, id)
	}
	return d.store.CredentialByPublicID(ctx, org, ref)
}

// Credentials lists an agent's credentials by creation.
func (d *Directory) Credentials(ctx context.Context, org, agent uuid.UUID) ([]storage.Credential, error) {
	if _, err := d.store.Agent(ctx, org, agent); err != nil {
		return nil, err
	}
	all, err := d.store.Credentials(ctx, org, agent)
	d.pending.lastUsed(all)
	return all, err
}

// CredentialsAfter lists the credentials of an agent after an id, by creation, at most
// limit, with when they were last used.
func (d *Directory) CredentialsAfter(ctx context.Context, org, agent, after uuid.UUID, limit int) ([]storage.Credential, error) {
	all, err := d.store.CredentialsAfter(ctx, org, agent, after, limit)
	d.pending.lastUsed(all)
	return all, err
}

// verbWords are the verbs of a scope in the order in which they are written.
var verbWords = []struct {
	verb storage.Verbs
	word string
}{{storage.Read, "read"}, {storage.Flag, "flag"}, {storage.Append, "append"}, {storage.Delete, "delete"}, {storage.Send, "send"}}

// ParseVerbs reads a list such as "read,flag,send".
func ParseVerbs(list string) (storage.Verbs, error) {
	var verbs storage.Verbs
next:
	for word := range strings.SplitSeq(list, ",") {
		for _, v := range verbWords {
			if v.word == word {
				verbs |= v.verb
				continue next
			}
		}
		return 0, fmt.Errorf("%w: %q is no verb: use read, flag, append, delete, send", ErrInvalid, word)
	}
	return verbs, nil
}

// FormatVerbs writes what ParseVerbs reads.
func FormatVerbs(verbs storage.Verbs) string {
	var words []string
	for _, v := range verbWords {
		if verbs&v.verb != 0 {
			words = append(words, v.word)
		}
	}
	return strings.Join(words, ",")
}

// specFields are the clear facts of a credential.
func specFields(c storage.Credential) audit.Fields {
	f := audit.Fields{
		audit.Word(audit.KeyKeyID, c.PublicID), audit.Word(audit.KeyEnvironment, string(c.Env)),
		audit.Time(audit.KeyExpires, c.Expires), audit.Word(audit.KeyView, string(ViewOf(&c))),
	}
	for _, s := range c.Scopes {
		f = append(f, audit.Word(audit.KeyScope, s.Inbox.String()+":"+FormatVerbs(s.Verbs)))
	}
	return f
}

// ViewOf is what a credential is shown of messages. // CO-6
func ViewOf(c *storage.Credential) storage.View {
	if c.Safe() {
		return storage.ViewSafe
	}
	return storage.ViewOriginal
}

// describe is a credential on one line, for the values before and after.
func describe(c storage.Credential) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s expires=%s", c.PublicID, c.Env, instant(c.Expires))
	for _, s := range c.Scopes {
		fmt.Fprintf(&b, " scope=%s:%s", s.Inbox, FormatVerbs(s.Verbs))
	}
	for _, n := range c.Networks {
		fmt.Fprintf(&b, " network=%s", n)
	}
	if c.Safe() {
		b.WriteString(" view=safe")
	}
	if c.Waiver != nil {
		b.WriteString(" waived")
	}
	if !c.Revoked.IsZero() {
		fmt.Fprintf(&b, " revoked=%s", instant(c.Revoked))
	}
	return b.String()
}
