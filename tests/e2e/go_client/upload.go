package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	catalogv1 "aimass.example/story/stubs/aimass/catalog/v1"
)

const chunkBytes = 256 * 1024

// upload sends a file in chunks. It returns the upload's name.
func (s *suite) upload(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	size, err := io.Copy(digest, file)
	if err != nil {
		return "", err
	}
	header := &catalogv1.UploadHeader{
		Name:       "uploads/go-" + uuid.NewString(),
		TotalBytes: size,
		Sha256:     hex.EncodeToString(digest.Sum(nil)),
		Filename:   filepath.Base(path),
	}
	return header.Name, again(func() error { return s.send(ctx, file, header) })
}

// send sends what the catalog does not have yet: GetUpload says where an earlier try broke off.
func (s *suite) send(ctx context.Context, file *os.File, header *catalogv1.UploadHeader) error {
	known, err := s.transfers.GetUpload(ctx, &catalogv1.GetUploadRequest{Name: header.Name})
	if err == nil {
		header.Offset = known.CommittedBytes
	} else if !isNotFound(err) {
		return err
	}
	if known.GetComplete() {
		return nil
	}
	if _, err := file.Seek(header.Offset, io.SeekStart); err != nil {
		return err
	}
	stream, err := s.transfers.WriteUpload(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&catalogv1.WriteUploadRequest{
		Content: &catalogv1.WriteUploadRequest_Header{Header: header},
	})
	chunk := make([]byte, chunkBytes)
	// A Send that fails says only io.EOF: why, CloseAndRecv tells.
	for err == nil {
		count, reading := file.Read(chunk)
		if reading == io.EOF {
			break
		} else if reading != nil {
			return reading
		}
		err = stream.Send(&catalogv1.WriteUploadRequest{
			Content: &catalogv1.WriteUploadRequest_Chunk{Chunk: chunk[:count]},
		})
	}
	_, err = stream.CloseAndRecv()
	return err
}
