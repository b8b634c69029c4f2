// Tessera's POSIX storage, appending entries as fast as it takes them: a peer of the benchmark.
//
//	tessera FOLDER ENTRIES BYTES BATCH DEDUP
//
// Entries are prepared beforehand and different from each other. An entry counts when Tessera says that it is
// sequenced and integrated, which on POSIX is on disk. DEDUP is "none" or "badger", Tessera's persistent antispam.
// Prints one line of JSON.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	antispam "github.com/transparency-dev/tessera/storage/posix/antispam"
	"golang.org/x/mod/sumdb/note"
)

const (
	batchesInFlight = 4
	batchAge        = 50 * time.Millisecond
	inMemoryDedup   = 1024
)

func main() {
	if len(os.Args) != 6 {
		log.Fatal("FOLDER ENTRIES BYTES BATCH DEDUP")
	}
	count, size, batch := number(2), number(3), number(4)
	ctx := context.Background()
	appender, shutdown := open(ctx, os.Args[1], uint(batch), os.Args[5] == "badger")
	entries := prepare(count, size)
	began := time.Now()
	appendAll(ctx, appender, entries, batchesInFlight*batch)
	seconds := time.Since(began).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"entries": count, "seconds": seconds}); err != nil {
		log.Fatal(err)
	}
	if err := shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}

func open(ctx context.Context, folder string, batch uint, dedup bool) (*tessera.Appender, func(context.Context) error) {
	driver, err := posix.New(ctx, posix.Config{Path: filepath.Join(folder, "log")})
	if err != nil {
		log.Fatal(err)
	}
	secret, _, err := note.GenerateKey(rand.Reader, "bench.example/tessera")
	if err != nil {
		log.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		log.Fatal(err)
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(time.Second).
		WithBatching(batch, batchAge)
	if dedup {
		store, err := antispam.NewAntispam(ctx, filepath.Join(folder, "antispam"), antispam.AntispamOpts{})
		if err != nil {
			log.Fatal(err)
		}
		options = options.WithAntispam(inMemoryDedup, store)
	}
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		log.Fatal(err)
	}
	return appender, shutdown
}

func prepare(count, size int) [][]byte {
	entries := make([][]byte, count)
	for i := range entries {
		entries[i] = make([]byte, size)
		if _, err := rand.Read(entries[i]); err != nil {
			log.Fatal(err)
		}
		binary.BigEndian.PutUint64(entries[i], uint64(i))
	}
	return entries
}

// appendAll keeps `inFlight` entries unanswered, in the order of the entries.
func appendAll(ctx context.Context, appender *tessera.Appender, entries [][]byte, inFlight int) {
	room := make(chan struct{}, inFlight)
	var all sync.WaitGroup
	for _, entry := range entries {
		room <- struct{}{}
		future := appender.Add(ctx, tessera.NewEntry(entry))
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-room }()
			_, err := future()
			for errors.Is(err, tessera.ErrPushback) {
				time.Sleep(time.Millisecond)
				_, err = appender.Add(ctx, tessera.NewEntry(entry))()
			}
			if err != nil {
				log.Fatal(err)
			}
		}()
	}
	all.Wait()
}

func number(place int) int {
	value, err := strconv.Atoi(os.Args[place])
	if err != nil || value <= 0 {
		log.Fatalf("expected a positive number, got %q", os.Args[place])
	}
	return value
}
