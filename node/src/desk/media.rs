//! Photos: taken in only as pixels, given out only to who may see them.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _, ImageReader};
use protocol::envelope::BlobClass;
use protocol::ids::{BlobId, DocId};
use protocol::operation::Operation;

use super::{ActError, Desk, Viewer};
use crate::store::limits::{PICTURE_PIXELS_MAX, PICTURE_SIDE_MAX};
use crate::store::{BlobNotes, Reader, WriteError};

/// What is wrong with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    /// More bytes than are taken.
    #[error("more bytes than are taken")]
    TooLarge,
    /// More pixels than are decoded.
    #[error("more pixels than are decoded")]
    TooManyPixels,
    /// Not a JPEG, PNG or WebP picture, or a broken one.
    #[error("not a JPEG, PNG or WebP picture")]
    NotAPicture,
}

/// Why a photo was not taken in. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The picture.
    #[error("the picture was not taken")]
    Picture(#[from] PictureFault),
    /// The disk is nearly full; what is left is kept for alerts.
    #[error("no room for photos")]
    NoRoom,
    /// The incident.
    #[error("the photo was not added")]
    Act(#[from] ActError),
    /// The store failed.
    #[error("the photo was not stored")]
    Store(#[from] WriteError),
}

/// A picture for a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Its content type.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Desk {
    /// Adds a photo to an incident, from its reporter or an operator. Nothing of the file is kept but
    /// its pixels.
    pub async fn add_media(&self, viewer: Viewer, doc: DocId, file: Vec<u8>) -> Result<BlobId, MediaError> {
        let person = viewer.person().ok_or(ActError::NotForYou)?;
        self.check_may_add(viewer, doc).await?;
        if !self.store().has_room().await? {
            return Err(MediaError::NoRoom);
        }
        let bytes_max = usize::try_from(self.config().limits.photo_bytes_max.get()).unwrap_or(usize::MAX);
        if file.len() > bytes_max {
            return Err(PictureFault::TooLarge.into());
        }
        let picture = tokio::task::spawn_blocking(move || re_encode(&file)).await;
        let picture = picture.unwrap_or(Err(PictureFault::NotAPicture))?;
        let staged = self.store().stage_blob(picture).await?;
        let id = staged.id();
        self.act(viewer, person, doc, Some((BlobClass::Responders, staged)), |scene| {
            Ok(vec![Operation::Media { by: scene.by }])
        })
        .await?;
        Ok(id)
    }

    /// A photo, if this viewer may see it and it is here.
    pub async fn media(&self, viewer: Viewer, blob: BlobId) -> Result<Media, ActError> {
        let desk = self.clone();
        let found = self.store().read(move |r| -> Result<Option<Vec<u8>>, ActError> {
            for (doc, class) in r.blob_uses(&blob)? {
                if desk.may_see_blob(r, viewer, doc, class)? {
                    return Ok(r.blob(&blob)?.map(|blob| blob.content));
                }
            }
            Ok(None)
        });
        let bytes = found.await?.filter(|content| BlobNotes::decode(content).is_none());
        let bytes = bytes.ok_or(ActError::NotFound)?;
        Ok(Media { content_type: "image/jpeg", bytes })
    }

    /// Operators see what this node may hold; a reporter sees everything shown at their own incident's
    /// place; other neighbours see what is shared.
    pub(super) fn may_see_blob(
        &self,
        r: &Reader<'_>,
        viewer: Viewer,
        doc: DocId,
        class: BlobClass,
    ) -> Result<bool, ActError> {
        match viewer {
            Viewer::Operator(_) => Ok(class == BlobClass::Shared || r.is_involved(doc)?),
            Viewer::Resident(person) => {
                let own = r.alert_of(doc)?.is_some_and(|alert| alert.reporter == Some(person));
                let row = r.incident(doc)?;
                let public = row.is_some_and(|row| !self.is_private(row.kind));
                Ok(own || (class == BlobClass::Shared && public))
            }
            Viewer::Nobody => Ok(false),
        }
    }

    async fn check_may_add(&self, viewer: Viewer, doc: DocId) -> Result<(), ActError> {
        let (alert, involved) =
            self.store().read(move |r| Ok::<_, WriteError>((r.alert_of(doc)?, r.is_involved(doc)?))).await?;
        let may = match viewer {
            Viewer::Operator(_) => involved,
            Viewer::Resident(person) => alert.is_some_and(|alert| alert.reporter == Some(person)),
            Viewer::Nobody => false,
        };
        if may { Ok(()) } else { Err(ActError::NotFound) }
    }
}

/// The pixels of a picture as a new JPEG file: no metadata, no second format hidden behind the first.
fn re_encode(file: &[u8]) -> Result<Vec<u8>, PictureFault> {
    let not_a_picture = |_| PictureFault::NotAPicture;
    let reader =
        ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|_| PictureFault::NotAPicture)?;
    let mut decoder = reader.into_decoder().map_err(not_a_picture)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PICTURE_PIXELS_MAX {
        return Err(PictureFault::TooManyPixels);
    }
    // Which way is up is the one thing that is read of the metadata, and applied to the pixels.
    let upright = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(not_a_picture)?;
    if width.max(height) > PICTURE_SIDE_MAX {
        picture = picture.thumbnail(PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
    }
    picture.apply_orientation(upright);
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 82);
    picture.to_rgb8().write_with_encoder(encoder).map_err(not_a_picture)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut file = Vec::new();
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut Cursor::new(&mut file), image::ImageFormat::Png)
            .unwrap();
        file
    }

    #[test]
    fn pictures_become_small_jpegs_without_metadata() {
        let jpeg = re_encode(&png(2_000, 500)).unwrap();
        let picture = image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (1_600, 400));
        assert!(!jpeg.windows(4).any(|window| window == b"Exif"));
    }

    #[test]
    fn hidden_tails_and_metadata_do_not_survive() {
        let mut file = re_encode(&png(40, 30)).unwrap();
        // An APP1 segment with a position, right after the start of the file, and a page behind the end.
        let exif = b"\xff\xe1\x00\x18Exif\0\0canary position!";
        file.splice(2..2, exif.iter().copied());
        file.extend_from_slice(b"<script>canary</script>");
        let clean = re_encode(&file).unwrap();
        assert!(!clean.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn too_many_pixels_are_refused_before_they_are_decoded() {
        // A PNG header that promises 100,000 × 100,000 pixels and holds none.
        let mut bomb = png(1, 1);
        bomb[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(re_encode(&bomb), Err(PictureFault::TooManyPixels));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(re_encode(b"%PDF-1.7 not a picture"), Err(PictureFault::NotAPicture));
        assert_eq!(re_encode(&png(4, 4)[..40]), Err(PictureFault::NotAPicture));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
            })
        })
    }
}
