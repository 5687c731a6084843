use super::View;
use crate::{Error, Page, Site};
/// Renders a page.
pub fn render(_view: &View<'_>, _site: Option<&Site>, _locale: &'static str) -> Result<Page, Error> {
    Err(Error::internal("being written"))
}
