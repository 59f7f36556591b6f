"""Segments become the output: one file with the sound and the subtitles of the source, or an animation, or pictures."""

from __future__ import annotations

import heapq
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
from av.subtitles.subtitle import SubtitleSet

from impasto.errors import OutputError, UnreadableImageError
from impasto.video.footage import BROKEN, opened
from impasto.video.sequences import write_sequence
from impasto.video.writing import lossless
from impasto.whole import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer, OutputContainer

    from impasto.video.footage import Footage
    from impasto.video.writing import Encoding

    #: Seconds, a number that keeps those of one time in their order, and what is written then.
    Timed = tuple[Fraction, int, Callable[[], None]]

#: What sound becomes where the output cannot hold the source's.
_AUDIO: Final = {"webm": "libopus"}
_AUDIO_ELSEWHERE: Final = "aac"
_AUDIO_RATE: Final = 48000
#: Subtitles that are text, and the notation of each kind of file.
_TEXTS: Final = ("ass", "mov_text", "ssa", "subrip", "srt", "text", "webvtt")
_SUBTITLES: Final = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_MILLISECOND: Final = Fraction(1, 1000)
#: What of the source's description is taken over.
_TOLD: Final = ("title", "artist", "date", "copyright", "language", "creation_time")


def join(
    output: Path,
    segments: Sequence[Path],
    footage: Footage,
    encoding: Encoding,
    *,
    complete: bool,
    recipe: str | None = None,
) -> list[str]:
    """Write the output, whole or not at all.

    Args:
        output: what to write.
        segments: in their order; one that ends in the middle counts as far as it goes.
        footage: where sound and subtitles come from.
        encoding: of the segments.
        complete: whether sound goes on behind the last frame as in the source; else it ends with it.
        recipe: kept in the file, as its comment where it is a container.

    Returns:
        What could not be taken over as it was, in sentences.

    Raises:
        OutputError: it cannot be written there; what was there is untouched.
    """
    segments = [path for path in segments if _usable(path)]
    if not segments:
        raise OutputError(f"cannot write {str(output)!r}: no frame is finished; start the run again")
    try:
        if lossless(encoding):
            write_sequence(output, segments, encoding, recipe=recipe)
            silent = not (footage.audio or footage.subtitles)
            return [] if silent else [f"sound and subtitles of {footage.name} were left out: use .mp4 to keep them"]
        with replacing(output) as temporary, ExitStack() as stack:
            options = {"movflags": "+faststart"} if encoding.container in ("mp4", "mov") else {}
            made = stack.enter_context(av.open(str(temporary), "w", format=encoding.container, options=options))
            return _Joining(made, segments, footage, encoding, stack).written(complete=complete, recipe=recipe)
    except av.error.FFmpegError as error:
        reason = error.strerror or error
        raise OutputError(
            f"cannot write {str(output)!r}: {reason}; nothing was changed; free some space or choose another folder"
        ) from None


class _Joining:
    """One output file while it is written."""

    def __init__(
        self,
        made: OutputContainer,
        segments: Sequence[Path],
        footage: Footage,
        encoding: Encoding,
        stack: ExitStack,
    ) -> None:
        self._made, self._segments, self._footage, self._encoding = made, segments, footage, encoding
        self._stack = stack
        self._notes: list[str] = []
        with opened(segments[0]) as first:
            template = first.streams.video[0]
            self._stream = made.add_stream_from_template(template, opaque=True)
            self._stream.time_base = encoding.time_base
            # Sound before it is left out only if frames were: a few coders' packets lie before the first frame.
            self._start = next(p.pts * p.time_base for p in _packets(first) if p.pts is not None and p.time_base)
        if encoding.codec == "hevc" and encoding.container in ("mp4", "mov"):
            self._stream.codec_context.codec_tag = "hvc1"  # what Apple's players look for
        if encoding.codec == "vp9" and encoding.alpha:
            self._stream.metadata["alpha_mode"] = "1"
        last = max((p.pts * p.time_base for p in self._video_packets() if p.pts is not None), default=self._start)
        self._end = last + 1 / footage.rate

    def written(self, *, complete: bool, recipe: str | None) -> list[str]:
        """Write all packets in the order of their times; gives the notes."""
        tracks: list[Iterator[Timed]] = [self._video()]
        if self._footage.kind == "container":
            source = self._stack.enter_context(opened(self._footage.path))
            tracks += self._others(source, None if complete else self._end)
            for name in _TOLD:
                if name in source.metadata:
                    self._made.metadata[name] = source.metadata[name]
        if recipe is not None:
            self._made.metadata["comment"] = recipe
        for _, _, write in heapq.merge(*tracks, key=lambda timed: timed[:2]):
            write()
        return self._notes

    def _video_packets(self) -> Iterator[av.Packet[Any]]:
        """Of all segments, as far as each goes."""
        for path in self._segments:
            with opened(path) as segment:
                yield from _packets(segment)

    def _video(self) -> Iterator[Timed]:
        for packet in self._video_packets():
            yield self._moved(packet, self._stream, 0, self._start)

    def _others(self, source: InputContainer, end: Fraction | None) -> list[Iterator[Timed]]:
        """Tracks of sound and subtitles, with the notes of what cannot be."""
        tracks = []
        shift = self._footage.origin * self._footage.time_base + self._start
        until = None if end is None else self._footage.origin * self._footage.time_base + end
        for number, stream in enumerate([*source.streams.audio, *source.streams.subtitles], start=1):
            # Each track reads on its own: packets of the others would pile up otherwise.
            reader = self._stack.enter_context(opened(self._footage.path))
            track: Any = reader.streams[stream.index]
            target: Any
            if track.codec_context is None:
                self._notes.append(f"a track of {self._footage.name} was left out: its codec is unknown")
                continue
            name = track.codec_context.name
            if name in self._made.supported_codecs:
                try:
                    target = self._made.add_stream_from_template(track)
                except BROKEN:
                    self._notes.append(f"a track ({name}) of {self._footage.name} was left out: it cannot be copied")
                    continue
                target.metadata.update({key: value for key, value in track.metadata.items() if key in _TOLD})
                tracks.append(self._copied(reader, track, target, number, shift, until))
            elif stream.type == "audio":
                codec = _AUDIO.get(self._encoding.container, _AUDIO_ELSEWHERE)
                channels = "mono" if track.codec_context.layout.nb_channels == 1 else "stereo"
                target = self._made.add_stream(codec, rate=_AUDIO_RATE, layout=channels)
                self._notes.append(f"sound ({name}) was coded anew as {codec} ({channels}), which such files hold")
                tracks.append(self._recoded(reader, track, target, number, shift, until))
            elif name in _TEXTS:
                codec = _SUBTITLES[self._encoding.container]
                target = self._made.add_stream(codec)
                track.codec_context.open(strict=False)  # which makes the header
                target.codec_context.subtitle_header = track.codec_context.subtitle_header
                self._notes.append(f"subtitles ({name}) were written as {codec}, which such files hold")
                tracks.append(self._retold(reader, track, target, number, shift, until))
            else:
                self._notes.append(f"subtitles ({name}) were left out: such files do not hold them; use .mkv")
        return tracks

    def _copied(
        self, reader: InputContainer, track: Any, target: Any, number: int, shift: Fraction, until: Fraction | None
    ) -> Iterator[Timed]:
        """Packets of a track between the first frame and the last, their times counted from the first frame."""
        if self._start > 0:
            reader.seek(int(shift / track.time_base), stream=track, backward=True)
        try:
            for packet in reader.demux(track):
                if packet.pts is None or not packet.size or not packet.time_base:
                    continue
                at = packet.pts * packet.time_base
                if self._start > 0 and at + (packet.duration or 0) * packet.time_base <= shift:
                    continue
                if until is not None and at >= until:
                    return
                if track.type == "subtitle" and at < shift:  # it is shown already when the part begins
                    late = round((shift - at) / packet.time_base)
                    packet.duration = max(0, (packet.duration or 0) - late)
                    packet.pts = packet.dts = packet.pts + late
                yield self._moved(packet, target, number, shift)
        except BROKEN:
            self._notes.append(f"a track of {self._footage.name} ends in the middle")

    def _recoded(
        self, reader: InputContainer, track: Any, target: Any, number: int, shift: Fraction, until: Fraction | None
    ) -> Iterator[Timed]:
        """Sound of a track, decoded and coded anew."""
        if self._start > 0:
            reader.seek(int(shift / track.time_base), stream=track, backward=True)
        try:
            for frame in reader.decode(track):
                time = (frame.pts or 0) * frame.time_base
                if self._start > 0 and time + Fraction(frame.samples, frame.sample_rate) <= shift:
                    continue
                if until is not None and time >= until:
                    break
                frame.pts = round((time - shift) / frame.time_base)
                for packet in target.encode(frame):
                    yield self._moved(packet, target, number, Fraction(0))
        except BROKEN:
            self._notes.append(f"sound of {self._footage.name} ends in the middle")
        for packet in target.encode(None):
            yield self._moved(packet, target, number, Fraction(0))

    def _retold(
        self, reader: InputContainer, track: Any, target: Any, number: int, shift: Fraction, until: Fraction | None
    ) -> Iterator[Timed]:
        """Subtitles of a track, as text in another notation."""
        try:
            for packet in reader.demux(track):
                if packet.pts is None or not packet.size:
                    continue
                at, long = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
                said = track.codec_context.decode2(packet)
                if at + long <= shift or said is None or not len(said):
                    continue
                if until is not None and at >= until:
                    return
                lines = [one.ass.split(b",", 8) for one in said]
                text = b",".join([*lines[0][:8], b"\\N".join(line[-1] for line in lines)])
                begin, end = max(at, shift) - shift, at + long - shift
                told = target.codec_context.encode_subtitle(SubtitleSet.create(text=text, start=0, end=1))
                told.time_base = _MILLISECOND
                told.pts = told.dts = round(begin / _MILLISECOND)
                told.duration = round((end - begin) / _MILLISECOND)
                yield self._moved(told, target, number, Fraction(0))
        except BROKEN:
            self._notes.append(f"subtitles of {self._footage.name} end in the middle")

    def _moved(self, packet: av.Packet[Any], target: Any, number: int, shift: Fraction) -> Timed:
        """A packet for the output, its times counted from the first frame."""
        base = packet.time_base
        assert base is not None and packet.pts is not None  # noqa: S101, PT018 — looked at before
        moved = round(shift / base)
        packet.pts -= moved
        packet.dts = packet.pts if packet.dts is None else packet.dts - moved
        at = packet.dts * base
        packet.stream = target

        def write() -> None:
            self._made.mux(packet)

        return at, number, write


def _packets(segment: InputContainer) -> Iterator[av.Packet[Any]]:
    """Those of the pictures, as far as they go."""
    try:
        yield from (packet for packet in segment.demux(segment.streams.video[0]) if packet.size)
    except BROKEN:  # an ended run left it in the middle of a packet
        return


def _usable(path: Path) -> bool:
    """Whether a segment has a frame; what a run that was ended left may have none."""
    try:
        with opened(path) as segment:
            return bool(segment.streams.video) and next(_packets(segment), None) is not None
    except UnreadableImageError:
        return False
