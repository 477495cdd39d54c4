package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	typev1 "aimass.example/story/stubs/aimass/type/v1"
)

const patience = time.Minute

// events is what the Watch method of every run returns.
type events = grpc.ServerStreamingClient[typev1.Event]

// follow prints the events of a run until it has ended, over broken connections: each event has a
// number, and a new Watch goes on after the last one that was heard. A run that did not succeed is
// an error.
func follow[Q proto.Message](
	ctx context.Context, watch func(context.Context, Q, ...grpc.CallOption) (events, error), request Q,
) error {
	fields := request.ProtoReflect()
	after := fields.Descriptor().Fields().ByName("after_sequence")
	heard, ended := time.Now(), error(nil)
	hear := func(event *typev1.Event) {
		heard = time.Now()
		if event.Sequence == 0 {
			return // a heartbeat, which is not stored
		}
		fields.Set(after, protoreflect.ValueOfInt64(event.Sequence))
		tell(event)
		if change := event.GetStateChange(); change != nil {
			ended = outcome(change)
		}
	}
	for {
		stream, err := watch(ctx, request)
		for err == nil {
			var event *typev1.Event
			if event, err = stream.Recv(); err == nil {
				hear(event)
			}
		}
		if errors.Is(err, io.EOF) {
			return ended
		}
		if !isPassing(err) || time.Since(heard) > patience {
			return err
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// outcome returns why a run ended without a result; nil where it goes on or succeeded.
func outcome(change *typev1.StateChange) error {
	switch change.State {
	case typev1.RunState_RUN_STATE_FAILED:
		return status.ErrorProto(change.Error)
	case typev1.RunState_RUN_STATE_CANCELLED:
		return errors.New("the run was cancelled")
	}
	return nil
}

// tell prints an event as a line.
func tell(event *typev1.Event) {
	switch kind := event.Kind.(type) {
	case *typev1.Event_StateChange:
		fmt.Printf("  %4d %s\n", event.Sequence, kind.StateChange.State)
	case *typev1.Event_Progress:
		fmt.Printf("  %4d %3.0f %% %s %s\n", event.Sequence, 100*kind.Progress.Fraction,
			kind.Progress.Stage, kind.Progress.Message)
	case *typev1.Event_Metrics:
		fmt.Printf("  %4d epoch %d", event.Sequence, kind.Metrics.Epoch)
		for _, name := range slices.Sorted(maps.Keys(kind.Metrics.Values)) {
			fmt.Printf(" %s=%.4g", name, kind.Metrics.Values[name])
		}
		fmt.Println()
	case *typev1.Event_MembershipChange:
		fmt.Printf("  %4d %d workers: %s\n", event.Sequence, kind.MembershipChange.Workers,
			kind.MembershipChange.Reason)
	}
}

// again repeats what a service that restarts breaks off.
func again(try func() error) error {
	for began := time.Now(); ; time.Sleep(300 * time.Millisecond) {
		if err := try(); !isPassing(err) || time.Since(began) > patience {
			return err
		}
	}
}

func isPassing(err error) bool { return status.Code(err) == codes.Unavailable }

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }
