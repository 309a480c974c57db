package directory

import (
	"context"
	"errors"
	"fmt"

	"postern/storage"
	"postern/storage/audit"
)

// Prove has a person who was just enrolled show a code of the new authenticator, and
// gives them a session with a second factor in place of theirs. ErrRefused when the
// code is not right, under the limits of a login. // AC-12
func (d *Directory) Prove(ctx context.Context, by *PersonSession, actor audit.Actor, code string) (token string, err error) {
	place := guessed{by.Person.Address, actor.Network}
	for range loginTries {
		if d.guesses.full(place.codeKey(), codeGuesses, d.now()) {
			return "", fmt.Errorf("%w: too many wrong codes: try later", ErrRefused)
		}
		was, err := d.store.Person(ctx, by.Person.Org, by.Person.ID)
		if err != nil {
			return "", err
		}
		factor, rule := d.useCode(&was, was.ID, code, d.now())
		if rule != "" || factor == "none" {
			d.guesses.failed(place.codeKey(), codeGuesses, d.now())
			return "", fmt.Errorf("%w: that is not the code of this moment", ErrRefused)
		}
		err = d.store.Write(ctx, actor, func(tx *storage.Tx) (err error) {
			p := was
			e := tx.Record(personEvent(audit.PersonLogin, &p, "login"))
			e.Fields = append(e.Fields, audit.Word(audit.KeyDoor, by.Session.Door), audit.Word(audit.KeyFactor, factor))
			if err := tx.UpdatePerson(e, &p); err != nil {
				return err
			}
			if _, err := endSessions(tx, e, p.ID, storage.NewID()); err != nil {
				return err
			}
			_, token, err = d.startSession(tx, e, &p, SessionSpec{Door: by.Session.Door, Factor: true})
			return err
		})
		if !errors.Is(err, storage.ErrConflict) {
			return token, err
		}
	}
	return "", storage.ErrConflict
}
