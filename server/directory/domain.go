package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/net/idna"

	"postern/dkim"
	"postern/storage"
	"postern/storage/audit"
)

// AssumeOwned is a person's word that a domain belongs to the organization,
// where no proof exists. The zero value assumes nothing.
type AssumeOwned struct{ Reason string }

// AddDomain adds a domain with two DKIM keys, one for each algorithm. A domain
// whose ownership is neither proved nor assumed receives and delivers locally,
// but neither signs nor sends outside. ErrInvalid for a name that is no domain,
// ErrTaken when another organization has it or owns one above; one that another has
// and never proved gives way to who proves it.
func (d *Directory) AddDomain(ctx context.Context, actor audit.Actor, org uuid.UUID, name string, assume AssumeOwned) (storage.Domain, []storage.DKIMKey, error) {
	name, err := domainName(name)
	if err != nil {
		return storage.Domain{}, nil, err
	}
	made, err := makeKeys() // outside of the transaction: RSA takes its time
	if err != nil {
		return storage.Domain{}, nil, err
	}
	domain, keys, err := d.addDomain(ctx, actor, org, name, assume, made)
	if errors.Is(err, storage.ErrConflict) {
		if err := d.claim(ctx, actor, org, name); err != nil {
			return storage.Domain{}, nil, err
		}
		domain, keys, err = d.addDomain(ctx, actor, org, name, assume, made)
	}
	if err == nil {
		d.KickChecks()
	}
	return domain, keys, taken(err, "domain")
}

func (d *Directory) addDomain(ctx context.Context, actor audit.Actor, org uuid.UUID, name string, assume AssumeOwned, made []*dkim.Key) (domain storage.Domain, keys []storage.DKIMKey, err error) {
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		domain = storage.Domain{Head: storage.Head{Org: org}, Name: name, Owned: assume.Reason != ""}
		state := "unproved"
		if domain.Owned {
			state, domain.Proof, domain.Proved = string(storage.ProofAssumed), storage.ProofAssumed, tx.Now()
		}
		switch above, err := ownerAbove(tx, name); {
		case err != nil:
			return err
		case above != uuid.Nil && above != org:
			return fmt.Errorf("%w: another organization owns the domain above it", ErrTaken)
		}
		e := tx.Record(audit.Event{Verb: audit.DomainAdd, Outcome: audit.OK, Org: org, Personal: domainFields(name, assume)})
		e.Fields = audit.Fields{audit.Word(audit.KeyState, state)}
		if err := tx.CreateDomain(e, &domain); err != nil {
			return err
		}
		keys, err = addKeys(tx, domain, made)
		return err
	})
	return domain, keys, err
}

func domainFields(name string, assume AssumeOwned) audit.Fields {
	f := audit.Fields{audit.Text(audit.KeyDomain, name), audit.Text(audit.KeyAfter, name)}
	if assume.Reason != "" {
		f = append(f, audit.Text(audit.KeyNote, assume.Reason))
	}
	return f
}

// domainName gives the A-label form (RFC 5890) of a name that a person wrote.
func domainName(name string) (string, error) {
	ascii, err := idna.Registration.ToASCII(strings.ToLower(strings.TrimSuffix(name, ".")))
	if err != nil {
		// Registration refuses names that Lookup maps, such as those in full width.
		ascii, err = idna.Lookup.ToASCII(name)
	}
	labels := strings.Split(ascii, ".")
	switch {
	case err != nil || !utf8.ValidString(name):
		return "", &NameError{name, "is no domain name: " + whyNoName(name)}
	case len(ascii) > 253 || len(labels) < 2:
		// RFC 5321, section 2.3.5: only fully qualified names.
		return "", &NameError{name, "is not a fully qualified domain name, such as mail.example.com"}
	case strings.Trim(labels[len(labels)-1], "0123456789") == "":
		return "", &NameError{name, "looks like an address, not like a domain name"}
	}
	for _, label := range labels {
		if !isHostLabel(label) {
			return "", &NameError{name, "is no domain name: " + whyNoName(name)}
		}
	}
	return ascii, nil
}

// NameError says of a text that somebody took for a domain name why it is none. It is an
// ErrInvalid.
type NameError struct {
	Name string
	Why  string // in a person's words, to follow the name
}

func (e *NameError) Error() string { return fmt.Sprintf("%q %s", e.Name, e.Why) }

// Is makes it an ErrInvalid.
func (e *NameError) Is(target error) bool { return target == ErrInvalid }

// whyNoName finds what a person would see first that keeps a text from being a domain name.
func whyNoName(name string) string {
	switch {
	case strings.ContainsFunc(name, unicode.IsSpace):
		return "it has a space in it"
	case strings.Contains(name, "@"):
		return "of a mail address the domain is what follows the @"
	case strings.ContainsAny(name, "/:"):
		return "of a web address the domain is what stands between // and the next / or :"
	}
	for _, label := range strings.Split(strings.TrimSuffix(name, "."), ".") {
		switch {
		case label == "":
			return "there is nothing between two of its dots, or before the first"
		case len(label) > 63:
			return "a part between two dots is longer than 63 letters"
		case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
			return "a part between two dots begins or ends with a hyphen"
		}
	}
	if i := strings.IndexFunc(name, func(r rune) bool {
		return r != '.' && r != '-' && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) || r == utf8.RuneError
	}); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return fmt.Sprintf("no domain name may have %q in it", r)
	}
	return "international domain names do not allow these letters together"
}

// isHostLabel is the let-dig-hyp rule of RFC 1123, section 2.1.
func isHostLabel(l string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	return l != "" && len(l) <= 63 && strings.Trim(l, letters) == "" && l[0] != '-' && l[len(l)-1] != '-'
}

// makeKeys makes one key for each algorithm: everybody verifies RSA, and
// Ed25519 is small and strong (RFC 8463).
func makeKeys() ([]*dkim.Key, error) {
	var keys []*dkim.Key
	for _, a := range algorithms {
		k, err := dkim.GenerateKey(a)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// addKeys adds the first keys of a domain. They sign although nobody has seen their
// records: a signature that cannot be verified counts as none (RFC 6376, section
// 6.1), which is no worse than to let mail wait.
func addKeys(tx *storage.Tx, domain storage.Domain, made []*dkim.Key) ([]storage.DKIMKey, error) {
	var keys []storage.DKIMKey
	r := rotation{domain: &domain}
	for _, m := range made {
		selector, err := r.selector(nil, m.Algorithm(), tx.Now())
		if err != nil {
			return nil, err
		}
		k := r.newKey(selector, m, dkim.Signing)
		k.Signing = tx.Now()
		if err := r.add(tx, &k); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// RemoveDomain removes a domain and its keys. ErrInUse while it has inboxes.
func (d *Directory) RemoveDomain(ctx context.Context, actor audit.Actor, org uuid.UUID, name string) error {
	domain, err := d.Domain(ctx, org, name)
	if err != nil {
		return err
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		domain := domain
		e := tx.Record(audit.Event{Verb: audit.DomainRemove, Outcome: audit.OK, Personal: audit.Fields{
			audit.Text(audit.KeyDomain, domain.Name), audit.Text(audit.KeyBefore, domain.Name)}})
		return tx.DeleteDomain(e, &domain)
	})
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: the domain has inboxes", ErrInUse)
	}
	return err
}

// Domain finds a domain of an organization by its name.
func (d *Directory) Domain(ctx context.Context, org uuid.UUID, name string) (storage.Domain, error) {
	name, err := domainName(name)
	if err != nil {
		return storage.Domain{}, err
	}
	domain, err := d.store.DomainByName(ctx, name)
	if err == nil && domain.Org != org {
		return storage.Domain{}, storage.ErrNotFound // AC-19
	}
	return domain, err
}

// Domains lists an organization's domains after an id, at most limit.
func (d *Directory) Domains(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Domain, error) {
	return d.store.Domains(ctx, org, after, limit)
}

// DKIMKeys lists a domain's signing keys.
func (d *Directory) DKIMKeys(ctx context.Context, org, domain uuid.UUID) ([]storage.DKIMKey, error) {
	if _, err := d.store.Domain(ctx, org, domain); err != nil {
		return nil, err
	}
	return d.store.DKIMKeys(ctx, domain)
}

// taken gives a conflict its name.
func taken(err error, what string) error {
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: %s", ErrTaken, what)
	}
	return err
}
