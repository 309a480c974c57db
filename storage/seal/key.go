package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
)

// KeySize is the size of every symmetric key, in bytes.
const KeySize = 32

// Sizes that sealing adds, in bytes. A record carries a random nonce of 96
// bits in front and a tag of 128 bits behind (NIST SP 800-38D).
const (
	nonceSize = 12
	tagSize   = 16

	// Overhead is what Seal adds to a plaintext.
	Overhead = nonceSize + tagSize
	// WrappedSize is the size of what Wrap returns.
	WrappedSize = KeySize + Overhead
)

// ErrOpen says that a sealed value is not what was sealed under this key and
// this identity: damaged, cut, moved from elsewhere, or opened with another
// key. The causes cannot be told apart, and nothing of the value is returned.
var ErrOpen = errors.New("seal: value does not open under this key and identity")

// Key is a symmetric key of 256 bits. Copies share one key; a Key may be used
// by several goroutines. The zero Key seals nothing (it panics, since a record
// sealed under no key would be readable by everybody) and opens nothing.
//
// A Key has no exported way to its bytes: it leaves the process only wrapped
// under another one, or as the root key's file. Printing it, or a struct that
// holds it, shows an address.
type Key struct{ state *keyState }

// keyState is what copies of a Key share. The cipher and the hash key are
// made at their first use: an unwrapped data key needs neither, an inbox key
// opens thousands of envelopes with one key schedule. Secrets are behind
// pointers because fmt follows one pointer, and only one, when it is given a
// verb that does not fit.
type keyState struct {
	secret *[KeySize]byte

	aeadOnce sync.Once
	aead     cipher.AEAD

	hashOnce sync.Once
	hashKey  *[KeySize]byte
}

// NewKey returns a new random key.
func NewKey() Key {
	secret := new([KeySize]byte)
	rand.Read(secret[:]) // never fails: since Go 1.24 it ends the program instead
	return keyFrom(secret)
}

// keyFrom returns the key with the given bytes, which become its own.
func keyFrom(secret *[KeySize]byte) Key { return Key{&keyState{secret: secret}} }

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.state == nil }

// records returns the cipher for records, which draws and prepends a random
// nonce. Random nonces of 96 bits allow 2^32 values under one key (NIST SP
// 800-38D, section 8.3): more than an inbox or an organization will see.
func (k Key) records() cipher.AEAD {
	if k.state == nil {
		panic("seal: zero Key")
	}
	s := k.state
	s.aeadOnce.Do(func() {
		aead, err := cipher.NewGCMWithRandomNonce(newAES(s.secret[:]))
		if err != nil {
			panic(err) // only for a block size other than 16
		}
		s.aead = aead
	})
	return s.aead
}

// newAES returns AES-256 under a key of KeySize bytes.
func newAES(secret []byte) cipher.Block {
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // only for a key of another size
	}
	return block
}

// Seal encrypts and authenticates plaintext as the value of id. The result is
// Overhead bytes longer; sealing twice gives different bytes.
func (k Key) Seal(plaintext []byte, id Identity) []byte {
	return k.seal(plaintext, &id, kindRecord)
}

// Open returns the plaintext that Seal was given with the same key and
// identity, or ErrOpen.
func (k Key) Open(sealed []byte, id Identity) ([]byte, error) {
	return k.open(sealed, &id, kindRecord)
}

// AppendOpen is Open that appends the plaintext to dst, so that a scan of many
// values needs memory for one. dst must not overlap sealed.
func (k Key) AppendOpen(dst, sealed []byte, id Identity) ([]byte, error) {
	return k.appendOpen(dst, sealed, &id, kindRecord)
}

// Wrap seals inner under k as the key of id. The result is WrappedSize bytes.
func (k Key) Wrap(inner Key, id Identity) []byte {
	if inner.state == nil {
		panic("seal: zero Key")
	}
	return k.seal(inner.state.secret[:], &id, kindKey)
}

// Unwrap returns the key that Wrap was given with the same key and identity,
// or ErrOpen.
func (k Key) Unwrap(wrapped []byte, id Identity) (Key, error) {
	if len(wrapped) != WrappedSize {
		return Key{}, ErrOpen
	}
	secret, err := k.open(wrapped, &id, kindKey)
	if err != nil {
		return Key{}, err
	}
	return keyFrom((*[KeySize]byte)(secret)), nil
}

func (k Key) seal(plaintext []byte, id *Identity, as kind) []byte {
	aead := k.records()
	aad := getBuffer(identityRoom)
	aad.b = id.append(aad.b[:0], as)
	out := make([]byte, 0, len(plaintext)+Overhead)
	out = aead.Seal(out, nil, plaintext, aad.b)
	aad.put()
	return out
}

func (k Key) open(sealed []byte, id *Identity, as kind) ([]byte, error) {
	return k.appendOpen(make([]byte, 0, max(0, len(sealed)-Overhead)), sealed, id, as)
}

func (k Key) appendOpen(dst, sealed []byte, id *Identity, as kind) ([]byte, error) {
	if k.state == nil || len(sealed) < Overhead {
		return nil, ErrOpen
	}
	aad := getBuffer(identityRoom)
	aad.b = id.append(aad.b[:0], as)
	out, err := k.records().Open(dst, nil, sealed, aad.b)
	aad.put()
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// Labels of the keys that are derived from one, the first bytes of HKDF's
// info. None is the beginning of another.
const (
	labelDerive = "postern seal v1 derive "
	labelHash   = "postern seal v1 hash"
	labelBody   = "postern seal v1 body "
	labelRootID = "postern seal v1 root id"
)

// expand is HKDF-Expand with SHA-256. A Key is uniformly random already, so
// that HKDF's first step may be left out (RFC 5869, section 3.3).
func (k Key) expand(info string, size int) []byte {
	if k.state == nil {
		panic("seal: zero Key")
	}
	out, err := hkdf.Expand(sha256.New, k.state.secret[:], info, size)
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	return out
}

// Derive returns the sub-key of k for a purpose: the same one each time,
// independent of the sub-keys for other purposes and telling nothing of k.
func (k Key) Derive(purpose string) Key {
	return keyFrom((*[KeySize]byte)(k.expand(labelDerive+purpose, KeySize)))
}

// Hash returns the keyed hash (HMAC-SHA256, 32 bytes) of the parts for a
// purpose, for lookups by equality: it stands in a clear column where the
// value itself may not, and without the key nobody can try values against it.
// Purpose and parts are hashed behind their lengths, so that no two lists of
// parts give the same input.
func (k Key) Hash(purpose string, parts ...[]byte) []byte {
	if k.state == nil {
		panic("seal: zero Key")
	}
	s := k.state
	s.hashOnce.Do(func() { s.hashKey = (*[KeySize]byte)(k.expand(labelHash, KeySize)) })
	in := getBuffer(identityRoom)
	in.b = appendPrefixed(in.b[:0], purpose)
	for _, part := range parts {
		in.b = appendPrefixed(in.b, part)
	}
	mac := hmac.New(sha256.New, s.hashKey[:])
	mac.Write(in.b)
	in.put()
	return mac.Sum(make([]byte, 0, sha256.Size))
}
