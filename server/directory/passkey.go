package directory

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Bounds of passkeys.
const (
	maxPasskeys    = 20       // of one person
	maxPasskeyName = 64       // characters
	maxAnswer      = 16 << 10 // bytes of what a browser answers with
)

// Purpose is what an answer of a passkey is asked for. An answer to one counts for no
// other.
type Purpose string

// The purposes.
const (
	PasskeyAdd   Purpose = "add"   // a new one, for a person in their session
	PasskeyLogin Purpose = "login" // of whoever it is of, to sign in
	PasskeyProve Purpose = "prove" // of a person in their session, who shows again who they are
)

// Asked is a question to a browser: for what, to whom and where.
type Asked struct {
	For    Purpose
	Bind   string // the session, or what the browser of somebody who has none was given
	Origin string // where the page is, such as https://mail.example.com:8443
}

// relyingParty is this server as authenticators know it (WebAuthn, section 4): by the
// name that it is configured with, and by no other that a request may name.
func (d *Directory) relyingParty(origin string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Path != "" || d.site == "" || u.Hostname() != d.site {
		return nil, fmt.Errorf("%w: passkeys work at https://%s alone", ErrRefused, d.site)
	}
	limit := webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife}
	return webauthn.New(&webauthn.Config{
		RPID: d.site, RPDisplayName: issuer, RPOrigins: []string{origin}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: limit, Registration: limit},
	})
}

// keyAlgorithms are those of the keys that are taken, the best first: what every
// authenticator has at least one of.
var keyAlgorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// owner is a person as the library asks for them.
type owner struct {
	person *storage.Person
	keys   []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return o.person.ID[:] }
func (o owner) WebAuthnName() string                       { return o.person.Address }
func (o owner) WebAuthnDisplayName() string                { return o.person.Address }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

// ownerOf is a person with some of their passkeys.
func ownerOf(p *storage.Person, keys ...storage.Passkey) (owner, error) {
	o := owner{person: p}
	for _, k := range keys {
		var c webauthn.Credential
		if err := json.Unmarshal(k.Key, &c); err != nil {
			return o, fmt.Errorf("directory: passkey %s: %w", k.ID, err)
		}
		o.keys = append(o.keys, c)
	}
	return o, nil
}

func (o owner) descriptors() (all []protocol.CredentialDescriptor) {
	for i := range o.keys {
		all = append(all, o.keys[i].Descriptor())
	}
	return all
}

// AskPasskey makes the question that a page hands to the browser, in the form of
// WebAuthn, section 5.1.8 or 5.1.9. p is whose it is; nil when somebody signs in, for
// then the authenticator says who.
func (d *Directory) AskPasskey(ctx context.Context, q Asked, p *storage.Person) (json.RawMessage, error) {
	rp, err := d.relyingParty(q.Origin)
	if err != nil {
		return nil, err
	}
	challenge := d.challenges.make(string(q.For), q.Bind, d.now())
	if q.For == PasskeyLogin {
		ask, _, err := rp.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
		if err != nil {
			return nil, err
		}
		return json.Marshal(ask.Response)
	}
	keys, err := d.store.Passkeys(ctx, p.Org, p.ID)
	if err != nil {
		return nil, err
	}
	who, err := ownerOf(p, here(keys, d.site)...)
	if err != nil {
		return nil, err
	}
	if q.For == PasskeyProve {
		if len(who.keys) == 0 {
			return nil, fmt.Errorf("%w: there is no passkey of %s here", ErrState, p.Address)
		}
		ask, _, err := rp.BeginLogin(who, webauthn.WithChallenge(challenge))
		if err != nil {
			return nil, err
		}
		return json.Marshal(ask.Response)
	}
	ask, _, err := rp.BeginRegistration(who, webauthn.WithCredentialParameters(keyAlgorithms), webauthn.WithExclusions(who.descriptors()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error { o.Challenge = challenge; return nil })
	if err != nil {
		return nil, err
	}
	return json.Marshal(ask.Response)
}

// here are the passkeys that work at this host.
func here(keys []storage.Passkey, host string) []storage.Passkey {
	return slices.DeleteFunc(slices.Clone(keys), func(k storage.Passkey) bool { return k.Host != host || !k.Suspect.IsZero() })
}

// takeChallenge uses up the challenge that an answer names, before anything else of
// it is believed.
func (d *Directory) takeChallenge(q Asked, text string) (rule string) {
	challenge, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return "challenge"
	}
	return d.challenges.take(challenge, string(q.For), q.Bind, d.now())
}

// sessionOf is what the library remembers of a question; here the question does.
func (d *Directory) sessionOf(challenge string) webauthn.SessionData {
	return webauthn.SessionData{Challenge: challenge, RelyingPartyID: d.site, UserVerification: protocol.VerificationRequired, CredParams: keyAlgorithms}
}

// AddPasskey gives a person, in their session, a passkey by the answer to a question
// of AskPasskey. Who adds one has shown it: the session counts as proved by it, and
// gets another token, which is returned. ErrRefused when the answer does not hold.
func (d *Directory) AddPasskey(ctx context.Context, by *PersonSession, actor audit.Actor, q Asked, name string, answer []byte) (storage.Passkey, string, error) {
	name, err := passkeyName(name)
	if err != nil {
		return storage.Passkey{}, "", err
	}
	c, rule, err := d.register(&by.Person, q, answer)
	if rule != "" {
		err = d.refuseNewPasskey(ctx, by, actor, rule)
	}
	if err != nil {
		return storage.Passkey{}, "", err
	}
	key, err := json.Marshal(c)
	if err != nil {
		return storage.Passkey{}, "", err
	}
	made := storage.Passkey{Head: storage.Head{ID: storage.NewID(), Org: by.Person.Org}, Person: by.Person.ID, Name: name, Host: d.site, Credential: c.ID, Key: key}
	var token string
	k := made
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		k = made
		have, err := tx.Passkeys(by.Person.ID)
		switch {
		case err != nil:
			return err
		case len(have) >= maxPasskeys:
			return fmt.Errorf("%w: there are %d passkeys, and no more are kept: remove one first", ErrRefused, maxPasskeys)
		case slices.ContainsFunc(have, func(k storage.Passkey) bool { return k.Name == name }):
			return fmt.Errorf("%w: there is a passkey %q already", ErrTaken, name)
		}
		e := tx.Record(passkeyEvent(audit.PasskeyAdd, &by.Person, &k))
		e.Fields = append(e.Fields, audit.Word(audit.KeyModelID, model(c)), audit.Bool(audit.KeySynced, c.Flags.BackupEligible))
		if err := tx.CreatePasskey(e, &k); err != nil {
			return err
		}
		token, err = d.renewIn(tx, e, by.Session, methodPasskey)
		return err
	})
	return k, token, taken(err, "passkey")
}

// register holds the answer of a new passkey to the question (WebAuthn, section 7.1),
// or says by which rule it is refused.
func (d *Directory) register(p *storage.Person, q Asked, answer []byte) (c *webauthn.Credential, rule string, err error) {
	rp, err := d.relyingParty(q.Origin)
	if err != nil {
		return nil, "", err
	}
	if len(answer) > maxAnswer {
		return nil, "passkey-form", nil
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, "passkey-form", nil
	}
	text := parsed.Response.CollectedClientData.Challenge
	if rule := d.takeChallenge(q, text); rule != "" {
		return nil, rule, nil
	}
	session := d.sessionOf(text)
	session.UserID = p.ID[:]
	if c, err = rp.CreateCredential(owner{person: p}, session, parsed); err != nil {
		d.log.Info("a new passkey was refused", "error", told(err))
		return nil, "passkey", nil
	}
	c.Attestation = webauthn.CredentialAttestation{} // who made the authenticator is not asked
	return c, "", nil
}

// refuseNewPasskey records that a new passkey was refused, and tells its person why. // AU-1
func (d *Directory) refuseNewPasskey(ctx context.Context, by *PersonSession, actor audit.Actor, rule string) error {
	err := d.refusePerson(ctx, PersonAttempt{Door: by.Session.Door, Peer: actor}, &by.Person, rule)
	if no := (*AuthError)(nil); !errors.As(err, &no) || no.Cause != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrRefused, refusedKeys[rule])
}

var refusedKeys = map[string]string{
	"challenge": "the answer is to no question of this session", "challenge-old": "that took too long: begin again",
	"challenge-used": "this answer was given before", "challenge-busy": "too many sign in at the moment: try again in a minute",
	"passkey-form": "the answer of the passkey cannot be read", "passkey": "the answer of the passkey does not hold",
}

// told is what the library says of an answer, with its reason.
func told(err error) string {
	var said *protocol.Error
	if errors.As(err, &said) && said.DevInfo != "" {
		return said.Details + ": " + said.DevInfo
	}
	return err.Error()
}

func passkeyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n < 1 || n > maxPasskeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("%w: a passkey needs a name of 1 to %d characters", ErrInvalid, maxPasskeyName)
	}
	return name, nil
}

// model is an authenticator's model, as it says.
func model(c *webauthn.Credential) string {
	id, err := uuid.FromBytes(c.Authenticator.AAGUID)
	if err != nil {
		id = uuid.Nil
	}
	return id.String()
}

// passkeyEvent is an event about a passkey of a person.
func passkeyEvent(verb audit.Verb, p *storage.Person, k *storage.Passkey) audit.Event {
	return audit.Event{Verb: verb, Outcome: audit.OK, Org: p.Org, Object: p.ID, Fields: audit.Fields{audit.ID(audit.KeyPasskey, k.ID)},
		Personal: audit.Fields{audit.Text(audit.KeyPerson, p.Address), audit.Text(audit.KeyKeyName, k.Name)}}
}

// errPasskey is the refusal of an answer, by a rule.
type errPasskey struct{ rule string }

func (e *errPasskey) Error() string { return "directory: a passkey was refused: " + e.rule }

// shown is a passkey that was shown, and whose it is.
type shown struct {
	person  storage.Person
	key     storage.Passkey // with the counter of the answer
	suspect bool            // the counter went back
}

// check holds an answer to its question (WebAuthn, section 7.2). *errPasskey when it
// does not hold; with what is known of whose it would be.
func (d *Directory) check(ctx context.Context, org uuid.UUID, q Asked, answer []byte) (s shown, known bool, err error) {
	rp, err := d.relyingParty(q.Origin)
	if err != nil {
		return s, false, &errPasskey{"passkey-origin"}
	}
	if len(answer) > maxAnswer {
		return s, false, &errPasskey{"passkey-form"}
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return s, false, &errPasskey{"passkey-form"}
	}
	used := d.takeChallenge(q, parsed.Response.CollectedClientData.Challenge)
	s.key, err = d.store.PasskeyByCredential(ctx, parsed.RawID)
	if err == nil {
		s.person, err = d.store.Person(ctx, s.key.Org, s.key.Person)
	}
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && s.person.Org != org:
		return shown{}, false, &errPasskey{"passkey-unknown"} // AC-19
	case err != nil:
		return s, false, err
	case used != "":
		return s, true, &errPasskey{used}
	case !s.key.Suspect.IsZero():
		return s, true, &errPasskey{"passkey-suspect"}
	}
	who, err := ownerOf(&s.person, s.key)
	if err != nil {
		return s, true, err
	}
	c, err := d.verify(rp, q, who, parsed)
	if err != nil {
		d.log.Info("an answer of a passkey was refused", "error", told(err))
		return s, true, &errPasskey{"passkey"}
	}
	return s, true, s.counted(c, d.now())
}

// verify has the library hold a parsed answer to its question. An authenticator that
// was asked for anybody says whose its key is; one that was asked for a person's need not.
func (d *Directory) verify(rp *webauthn.WebAuthn, q Asked, who owner, parsed *protocol.ParsedCredentialAssertionData) (*webauthn.Credential, error) {
	session := d.sessionOf(parsed.Response.CollectedClientData.Challenge)
	if q.For == PasskeyProve {
		session.UserID = who.WebAuthnID()
		return rp.ValidateLogin(who, session, parsed)
	}
	c, err := rp.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return who, nil }, session, parsed)
	return c, err
}

// counted notes the counter of an answer. One that does not grow is a sign that the
// key was copied (WebAuthn, section 6.1.1).
func (s *shown) counted(c *webauthn.Credential, now time.Time) (err error) {
	s.suspect = c.Authenticator.CloneWarning
	if s.key.LastUsed = now.UTC().Truncate(time.Microsecond); s.suspect {
		s.key.Suspect = s.key.LastUsed
	}
	s.key.Key, err = json.Marshal(c)
	return err
}

// suspectKey stops a passkey that may have been copied. // AC-15
func (d *Directory) suspectKey(ctx context.Context, actor audit.Actor, s shown) error {
	return d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		k := s.key
		return tx.UpdatePasskey(tx.Record(passkeyEvent(audit.PasskeySuspect, &s.person, &k)), &k)
	})
}

// Passkeys lists the passkeys of a person of an organization.
func (d *Directory) Passkeys(ctx context.Context, org, person uuid.UUID) ([]storage.Passkey, error) {
	return d.store.Passkeys(ctx, org, person)
}

// RemovePasskey takes a passkey of a person away; all sessions but the actor's own
// end. ErrRefused when it is the only way in that they have. // AC-9
func (d *Directory) RemovePasskey(ctx context.Context, actor audit.Actor, org, person, id uuid.UUID) error {
	p, err := d.store.Person(ctx, org, person)
	if err != nil {
		return err
	}
	return d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		all, err := tx.Passkeys(p.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(k storage.Passkey) bool { return k.ID == id })
		switch {
		case at < 0:
			return storage.ErrNotFound
		case len(all) == 1 && p.Password == nil:
			return fmt.Errorf("%w: it is the only way in that %s has: set a password or add another passkey first", ErrRefused, p.Address)
		}
		e := tx.Record(passkeyEvent(audit.PasskeyRemove, &p, &all[at]))
		n, err := endSessions(tx, e, p.ID, actor.Session)
		if err != nil {
			return err
		}
		e.Fields = append(e.Fields, audit.Int(audit.KeyCount, n))
		return tx.DeletePasskey(e, &all[at])
	})
}
