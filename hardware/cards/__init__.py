"""Card products: data in config/products/*.toml, code only for what data can't say."""

from hardware.perso.product import Product

__all__ = ["Product"]
