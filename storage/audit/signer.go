package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Verifier holds a public key and checks signatures. Its text form is that of golang.org/x/mod/sumdb/note:
// name+hash+base64.
type Verifier = note.Verifier

// Signer holds the log's Ed25519 private key.
type Signer struct {
	signer note.Signer
	public string
}

// NewSigner makes a key pair whose name becomes the origin of checkpoints: the name of the installation, such as
// "mail.example.com/audit", without spaces or plus signs. Both texts are those of sumdb/note. The private one is a
// secret: it is kept sealed under the root key, outside backups.
func NewSigner(name string) (privateKey, publicKey string, err error) {
	privateKey, publicKey, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("audit: make a signing key: %w", err)
	}
	if _, err := OpenSigner(privateKey); err != nil {
		return "", "", fmt.Errorf("audit: %q cannot be the name of a signing key", name)
	}
	return privateKey, publicKey, nil
}

// OpenSigner reads a private key from its text.
func OpenSigner(privateKey string) (*Signer, error) {
	s, err := note.NewSigner(privateKey)
	if err != nil {
		return nil, errors.New("audit: not the text of a signing key") // the cause might quote the key
	}
	public, err := publicKey(privateKey)
	if err != nil {
		return nil, err
	}
	return &Signer{signer: s, public: public}, nil
}

// publicKey derives the public text from PRIVATE+KEY+name+hash+base64(algorithm ‖ seed).
func publicKey(privateKey string) (string, error) {
	parts := strings.SplitN(privateKey, "+", 5)
	if len(parts) != 5 {
		return "", errors.New("audit: not the text of a signing key")
	}
	b, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return "", errors.New("audit: not the text of an Ed25519 signing key")
	}
	key := ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(parts[2], key)
}

// PublicKey returns the text of the public key, which verifiers take.
func (s *Signer) PublicKey() string { return s.public }

// Name returns the key's name: the origin of the checkpoints that it signs.
func (s *Signer) Name() string { return s.signer.Name() }

// OpenVerifier reads a public key from its text.
func OpenVerifier(publicKey string) (Verifier, error) {
	v, err := note.NewVerifier(publicKey)
	if err != nil {
		return nil, fmt.Errorf("audit: not the text of a public key: %w", err)
	}
	return v, nil
}
